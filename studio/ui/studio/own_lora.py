"""A visitor's own LoRA: sent from their disk or fetched from the Hub, and for them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import anyio.to_thread
import gradio as gr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from studio.contract.base import in_bytes
from studio.contract.limits import VisitorLimits
from studio.errors import StudioError
from studio.presets import LoraPreset
from studio.ui.assets import script
from studio.ui.clients import PASS, address_of
from studio.ui.gate import OWN_LORA
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, join, tag
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class OwnLoraField:
    """``sender`` takes a file and lists what was brought; ``line`` says how it went."""

    sender: gr.HTML
    source: gr.Textbox
    token: gr.Textbox
    fetch: gr.Button
    drop: gr.Button
    line: gr.HTML


def build(limits: VisitorLimits) -> OwnLoraField:
    """Lay it out inside the current column."""
    with gr.Accordion("A LoRA of your own", open=False, elem_id="own-lora"):
        gr.HTML(_told(limits), apply_default_css=False)
        sender = gr.HTML(
            "",
            js_on_load=script("own_lora", MOST=limits.lora),
            apply_default_css=False,
            elem_id="own-lora-file",
        )
        source = gr.Textbox(
            label="Or one from Hugging Face",
            placeholder="hf:owner/name/file.safetensors",
            max_lines=1,
            max_length=500,
            elem_id="own-lora-source",
        )
        token = gr.Textbox(
            label="Your token there, for gated files",
            info="Used for this one file, and kept nowhere.",
            type="password",
            max_lines=1,
            max_length=200,
            elem_id="own-lora-token",
        )
        with gr.Row(elem_classes="ls-tight"):
            fetch = gr.Button("Fetch it", size="sm", scale=0, min_width=100)
            drop = gr.Button(
                "Remove my LoRAs", size="sm", scale=0, min_width=150, elem_classes="ls-quiet"
            )
        line = gr.HTML("", apply_default_css=False, elem_id="own-lora-line")
    return OwnLoraField(sender, source, token, fetch, drop, line)


def _told(limits: VisitorLimits) -> Html:
    lines = (
        "Nobody else sees it, and it goes when you leave the page. It is judged by the rules "
        "that every LoRA is judged by.",
        f"You may have {format.plural(limits.loras, 'LoRA')} here, each of at most "
        f"{in_bytes(limits.lora)}, as a .safetensors file.",
    )
    return tag("p", " ".join(lines), class_="ls-origin")


def offer(given: str, mine: Sequence[LoraPreset]) -> Html:
    """Where a file is chosen, and what was brought.

    Args:
        given: the visitor's pass.
    """
    to = f"{OWN_LORA.lstrip('/')}?{urlencode({PASS: given})}"
    chosen = tag("input", type="file", accept=".safetensors", data_to=to)
    here = [tag("li", each.label) for each in mine]
    return join(
        (
            tag("label", "Send a file ", chosen),
            tag("output", "", role="status"),
            tag("ul", *here) if here else EMPTY,
        )
    )


def route(workspace: Workspace) -> Route:
    """Where a file is sent to: its bytes, with its name and a visitor's pass in the address."""
    own = workspace.own_loras

    async def endpoint(request: Request) -> PlainTextResponse:
        size = request.headers.get("content-length", "")
        if not size.isascii() or not size.isdecimal():
            return PlainTextResponse("The file does not say how large it is.\n", 411)
        try:
            owner = workspace.visitors.bearer(request.query_params.get(PASS, ""))
            with own.arriving(owner, address_of(request)) as coming:
                name = request.query_params.get("name", "")
                path = own.place_of(coming, name, int(size))
                with path.open("xb") as stream:
                    async for part in request.stream():
                        await anyio.to_thread.run_sync(stream.write, part)
                preset = await anyio.to_thread.run_sync(own.accept, coming, path)
        except StudioError as error:
            return PlainTextResponse(f"{error}\n", 409)
        except ClientDisconnect:
            return PlainTextResponse("The file did not come whole.\n", 400)
        return PlainTextResponse(preset.slug)

    return Route(OWN_LORA, endpoint, methods=["POST"])
