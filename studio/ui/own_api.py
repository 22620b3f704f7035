"""``/bring_lora``: how a program brings a LoRA of its own to a public page."""

import threading
from functools import partial
from urllib.parse import urlencode

import gradio as gr

from studio.errors import LoraNotTaken
from studio.settings import Settings
from studio.ui.clients import PASS, address_of
from studio.ui.gate import OWN_LORA
from studio.ui.html import download
from studio.ui.json_answers import Answers, answered
from studio.workspace.workspace import Workspace


class BringLora:
    """The endpoint over one workspace. A program is a visitor by its session."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def bring_lora(self, client: gr.Request, source: str = "", token: str = "") -> Answers:
        """Bring a LoRA for this session alone: ``progress``, then its ``slug``.

        Args:
            source: hf:owner/name/file.safetensors; without it, the answer is where to send a
                file (``send_to``).
            token: of the Hub account, for gated files: used once and kept nowhere.
        """
        yield from answered(partial(self._bring, client, source, token))

    def _bring(self, client: gr.Request, source: str, token: str) -> Answers:
        demand_bringing(self._workspace.settings)
        if not isinstance(source, str) or not isinstance(token, str):
            raise ValueError("source and token are texts")
        if not source.strip():
            given = {PASS: self._workspace.visitors.a_pass()}
            yield {"send_to": f"{OWN_LORA}?{urlencode(given)}&name="}
            return
        cancel = threading.Event()
        coming = self._workspace.own_loras.fetch(
            source.strip(), token.strip() or None, address_of(client), cancel
        )
        try:
            while True:
                yield {"progress": {"stage": download.line(next(coming))}}
        except StopIteration as ended:
            yield {"slug": ended.value.slug}
        finally:
            cancel.set()
            coming.close()


def demand_bringing(settings: Settings) -> None:
    """
    Raises:
        LoraNotTaken: nobody brings LoRAs to this page, with the reason.
    """
    if settings.visitors_bring:
        return
    code = "own_loras_closed"
    if not settings.is_public:
        raise LoraNotTaken(
            "This studio is its owner's, who has no need to bring LoRAs.",
            "Put the file under MODEL_BASE_PATH, or use `studio download`.",
            code,
        )
    if settings.workers is not None:
        raise LoraNotTaken(
            "Pictures of this page are made by workers (WORKERS), which would keep what they are "
            "sent, so nobody brings LoRAs.",
            "Choose one of the page's.",
            code,
        )
    raise LoraNotTaken(
        "Visitors bring no LoRAs to this page (VISITOR_LORAS is 0).",
        "Choose one of the page's.",
        code,
    )


def build(workspace: Workspace, documented: bool = True) -> None:
    """Name the endpoint; call inside the page."""
    gr.api(
        BringLora(workspace).bring_lora,
        api_name="bring_lora",
        concurrency_limit=None,
        api_visibility="public" if documented else "undocumented",
    )
