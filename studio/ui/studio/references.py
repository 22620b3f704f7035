"""The pictures to edit: where they are dropped, and what was taken in."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from studio.contract.request import ReferenceImage
from studio.ui.html import format as words
from studio.ui.html.tags import EMPTY, Html, div, span, tag

EDGE = 160
"""Pixels of the longer side of what the page shows."""


@dataclass(frozen=True, slots=True)
class ReferenceField:
    """``held`` is a state: the references of the request, as JSON-ready objects."""

    held: gr.State
    files: gr.UploadButton
    strip: gr.HTML
    clear: gr.Button


def build() -> ReferenceField:
    """Lay it out inside the current column."""
    held = gr.State(())
    strip = gr.HTML("", apply_default_css=False, elem_classes="ls-references")
    with gr.Row(elem_classes="ls-tight"):
        files = gr.UploadButton(
            "Add a reference image",
            file_count="multiple",
            file_types=[".png", ".jpg", ".jpeg", ".webp"],
            size="sm",
            scale=0,
            min_width=190,
            elem_id="reference",
        )
        clear = gr.Button(
            "Remove the reference",
            size="sm",
            scale=0,
            min_width=170,
            visible=False,
            elem_classes="ls-quiet",
        )
    return ReferenceField(held, files, strip, clear)


def strip(held: Sequence[tuple[ReferenceImage, Path | None]]) -> Html:
    """A small copy of each reference, with its size; what is gone is said."""
    if not held:
        return EMPTY
    return div("ls-reference-strip", *(_small(each, path) for each, path in held))


def _small(reference: ReferenceImage, path: Path | None) -> Html:
    size = f"{reference.width} × {reference.height}"
    picture = span("ls-problem", "no longer stored")
    if path is not None:
        picture = tag("img", src=_data(path), alt=f"Reference image, {size} pixels")
    caption = tag(
        "figcaption",
        span("ls-figure", size),
        tag("code", words.short_hash(reference.sha256), title=reference.sha256),
    )
    return tag("figure", picture, caption)


def _data(path: Path) -> str:
    """The picture, small, as a ``data:`` address."""
    with Image.open(path) as image:
        image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, format="WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
