"""The right side of the Studio tab: the contract, the picture with its own, and the session's."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.assets import KEEP_OPEN, LARGE, PICK
from studio.ui.html import contract as sheet
from studio.ui.html import picture as stage

ASK_AGAIN = 0.7
"""Seconds between two looks at what a site says about missing weights."""


@dataclass(frozen=True, slots=True)
class Result:
    """The components.

    Attributes:
        earlier: says that the picture below is of another plan than the sheet above.
        waiting: the runs that wait behind the one that goes on.
        strip: the pictures of the session.
        shown: the state that holds the fingerprint of the plan on the page.
        asking: looks again while a site is asked about weights that are missing.
    """

    sheet: gr.HTML
    earlier: gr.HTML
    stage: gr.HTML
    waiting: gr.HTML
    strip: gr.HTML
    shown: gr.State
    asking: gr.Timer

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def build() -> Result:
    """Lay it out inside the current column."""
    plain: dict[str, Any] = {"apply_default_css": False}
    return Result(
        sheet=gr.HTML(sheet.empty(), js_on_load=PICK + KEEP_OPEN, elem_id="contract", **plain),
        earlier=gr.HTML("", js_on_load=PICK, elem_id="earlier", **plain),
        stage=gr.HTML(stage.idle(), js_on_load=PICK + LARGE, elem_id="picture", **plain),
        waiting=gr.HTML("", js_on_load=PICK, elem_id="waiting", **plain),
        strip=gr.HTML("", js_on_load=PICK + LARGE, elem_id="strip", **plain),
        shown=gr.State(""),
        asking=gr.Timer(ASK_AGAIN, active=False),
    )
