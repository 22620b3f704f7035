"""Begin from a picture or from pasted text: where it is dropped, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from studio.errors import StudioError
from studio.recall.request import Recalled
from studio.ui.html.tags import Html, div, esc, span, tag
from studio.workspace.recalling import RecalledComparison, recall_file, recall_text
from studio.workspace.workspace import Workspace

ENDINGS = [".png", ".jpg", ".jpeg", ".webp"]


@dataclass(frozen=True, slots=True)
class RecallField:
    """``text`` takes what other tools call parameters or generation data; ``compared`` is the
    comparison that a contact sheet asked, as JSON; empty for any other picture."""

    file: gr.UploadButton
    text: gr.Textbox
    read: gr.Button
    said: gr.HTML
    compared: gr.State


def build() -> RecallField:
    """Lay it out inside the current column."""
    with gr.Accordion("Start from a picture", open=False, elem_id="recall"):
        gr.Markdown(
            "A picture of this studio, A1111, Forge, SD.Next, ComfyUI, InvokeAI, Fooocus, SwarmUI "
            "or CivitAI, or the text they wrote. What it says fills the form."
        )
        file = gr.UploadButton("Choose a picture", file_types=ENDINGS, size="sm")
        text = gr.Textbox(label="Or paste its parameters", lines=3, max_lines=6)
        read = gr.Button("Fill the form from this text", size="sm")
        said = gr.HTML("", apply_default_css=False)
    return RecallField(file, text, read, said, gr.State(""))


def from_file(workspace: Workspace, path: str) -> Recalled | StudioError:
    """What the uploaded picture at ``path`` makes; the upload is not kept."""
    place = Path(path)
    try:
        return recall_file(workspace, place.read_bytes())
    except StudioError as error:
        return error
    finally:
        place.unlink(missing_ok=True)


def from_text(workspace: Workspace, text: str) -> Recalled | StudioError:
    try:
        return recall_text(workspace, text)
    except StudioError as error:
        return error


def comparison_of(found: Recalled) -> str:
    """For ``RecallField.compared``."""
    if not isinstance(found, RecalledComparison) or found.wanted is None:
        return ""
    return found.wanted.model_dump_json()


def account(found: Recalled | StudioError) -> Html:
    """What was found, what is missing and what a request cannot say, a line each."""
    if isinstance(found, StudioError):
        return div("ls-problem", esc(str(found)), role="alert")
    whole = "its record is whole" if found.verified else "as the file says"
    lines = [span("", f"{found.said.tool}: {whole}.")]
    lines += [
        span("", f"{each.said.name or 'The base'} is {each.slug}, known by its {each.by}.")
        for each in found.matched
    ]
    lines += [span("ls-problem", f"{each.reason} {each.way_out}") for each in found.missing]
    lines += [span("ls-changed", sentence) for sentence in found.left]
    return tag("ul", *(tag("li", line) for line in lines), class_="ls-recalled")
