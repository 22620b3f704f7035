"""Inspect a file without adopting it: one from the visitor's disk, or one that is named."""

from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.inspection.description import describe_header
from studio.ui.html import inspection
from studio.ui.html.tags import EMPTY, Html, div, tag
from studio.ui.models.browser_header import READ_HEADER, chosen
from studio.workspace.inspecting import Inspector


def build(inspector: Inspector, public: bool) -> None:
    """Lay the panel out and wire it.

    Args:
        public: strangers can open the page: they may show their own files and name none here.
    """
    picker = gr.HTML(
        _choose(), js_on_load=READ_HEADER, apply_default_css=False, elem_id="inspect-file"
    )
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
