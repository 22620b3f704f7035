"""Inspect a file without adopting it: one from the visitor's disk, or one that is named.

A file's header is read in the browser, so that nothing else of it has to be uploaded. All that the
page sends comes from a stranger: whoever sends lies is answered about lies.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.contract.base import is_sha256
from studio.errors import HeaderError, StudioError
from studio.inspection.description import describe_header
from studio.inspection.header import LENGTH_FIELD, MAX_HEADER
from studio.ui import assets
from studio.ui.html import inspection
from studio.ui.html.tags import EMPTY, Html, div, tag
from studio.workspace.inspecting import Inspector

HASHED = 1 << 30
"""Bytes of the largest file that is hashed in the browser: it holds it in memory."""

_NAME = 200


def build(inspector: Inspector, public: bool) -> None:
    """Lay the panel out and wire it.

    Args:
        public: strangers can open the page: they may show their own files and name none here.
    """
    script = assets.script("read_header", MAX_HEADER=MAX_HEADER, HASHED=HASHED)
    picker = gr.HTML(_choose(), js_on_load=script, apply_default_css=False, elem_id="inspect-file")
    with gr.Row(visible=not public, elem_classes="ls-named"):
        name = gr.Textbox(
            label="Or name one",
            placeholder="hf:owner/name/file, a link, or a path",
            lines=1,
            max_lines=1,
            scale=4,
            max_length=500,
        )
        ask = gr.Button("Inspect", min_width=90, scale=0)
    answer = gr.HTML("", apply_default_css=False, elem_id="inspected")
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private"}
    picker.header(_of_header, outputs=answer, **quiet)

    def of_name(text: str) -> Html:
        return _of_name(inspector, text.strip()) if text.strip() else EMPTY

    if not public:
        gr.on([ask.click, name.submit], of_name, inputs=name, outputs=answer, **quiet)


def of_lora(inspector: Inspector, slug: str) -> Html:
    """The verdict on a preset's file; nothing where it is not there."""
    try:
        found = inspector.of_lora(slug)
    except StudioError as error:
        return inspection.said(str(error))
    if found is None:
        return EMPTY
    if not isinstance(found, dict):
        return inspection.unusable(found)
    return inspection.card(found)


def _choose() -> Html:
    return div(
        "ls-inspect",
        tag("h2", "Inspect a file"),
        tag("p", "Your browser reads its header and hashes it; the file stays where it is."),
        tag("input", type="file", accept=".safetensors", aria_label="A file to inspect"),
    )


def _of_header(event: gr.EventData) -> Html:
    try:
        file = chosen(event)
        return inspection.card(
            describe_header(file.name, file.head, file.size, file.sha256, file.data_sha256)
        )
    except StudioError as error:
        return inspection.said(str(error))


def _of_name(inspector: Inspector, text: str) -> Html:
    try:
        return inspection.card(inspector.of_name(text))
    except StudioError as error:
        return inspection.said(str(error))


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """What the browser says of a file."""

    name: str
    size: int
    head: bytes
    sha256: str | None
    data_sha256: str | None


def chosen(event: gr.EventData) -> ChosenFile:
    """The event's data, checked.

    Raises:
        HeaderError: the browser could not read the file, or sent something else.
    """
    data: Any = event._data
    if not isinstance(data, dict) or data.get("problem"):
        raise HeaderError("your browser could not read it")
    name, size, head = data.get("name"), data.get("size"), data.get("head")
    if not isinstance(name, str) or type(size) is not int or not isinstance(head, str):
        raise HeaderError("your browser sent no header")
    if size < 0 or len(head) > (LENGTH_FIELD + MAX_HEADER + 2) * 4 // 3 + 4:
        raise HeaderError("your browser sent more than a header")
    try:
        raw = base64.b64decode(head, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HeaderError("your browser sent no header") from error
    return ChosenFile(
        name[:_NAME], size, raw, _digits(data.get("sha256")), _digits(data.get("data_sha256"))
    )


def _digits(value: object) -> str | None:
    return value if isinstance(value, str) and is_sha256(value) else None
