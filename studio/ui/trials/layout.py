"""The Trials tab's components: the list, and the trial that is open."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.assets import KEEP_OPEN, PICK

EVERY = 1.5
"""Seconds between two looks at a trial that runs."""


@dataclass(frozen=True, slots=True)
class TrialParts:
    """``opened`` names the trial that is shown, empty for none; ``seen`` says what of it the
    page shows."""

    list: gr.HTML
    new: gr.Button
    view: gr.Column
    head: gr.HTML
    stop: gr.Button
    go_on: gr.Button
    sheet: gr.HTML
    take_row: gr.Row
    judge_row: gr.Row
    arm: gr.Dropdown
    take: gr.Button
    by: gr.Textbox
    judge: gr.Button
    said: gr.HTML
    report: gr.HTML
    opened: gr.State
    seen: gr.State
    timer: gr.Timer

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def build_list() -> dict[str, Any]:
    """Lay out the left side inside the current column."""
    return {
        "new": gr.Button("New trial", elem_id="another-trial"),
        "list": gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_id="trials"),
    }


def build_opened(left: dict[str, Any]) -> TrialParts:
    """Lay out the trial that is open inside the current column."""
    own = dict(left)
    with gr.Column(visible=False, elem_classes="ls-compared", elem_id="trial") as view:
        own["head"] = gr.HTML("", apply_default_css=False, elem_id="trial-head")
        with gr.Row(elem_classes="ls-tight ls-trial-actions"):
            own["stop"] = gr.Button("Stop", size="sm", scale=0, min_width=90, visible=False)
            own["go_on"] = gr.Button("Go on", size="sm", scale=0, min_width=90, visible=False)
            own["sheet"] = gr.HTML("", apply_default_css=False)
        with gr.Row(visible=False, elem_classes="ls-tight ls-trial-take") as take_row:
            own["arm"] = gr.Dropdown(
                [], label="Checkpoint and strength", interactive=True, min_width=180
            )
            own["take"] = gr.Button(
                "Take this one", variant="primary", scale=0, min_width=140, elem_id="take-arm"
            )
        with gr.Row(visible=False, elem_classes="ls-tight ls-trial-take") as judge_row:
            own["by"] = gr.Textbox(
                label="Reviewer", placeholder="your name", max_length=80, min_width=180
            )
            own["judge"] = gr.Button("Judge blind", scale=0, min_width=140, elem_id="judge-blind")
        own["said"] = gr.HTML("", apply_default_css=False, elem_id="trial-said")
        own["report"] = gr.HTML(
            "", js_on_load=KEEP_OPEN, apply_default_css=False, elem_id="trial-report"
        )
    return TrialParts(
        view=view,
        take_row=take_row,
        judge_row=judge_row,
        opened=gr.State(""),
        seen=gr.State(""),
        timer=gr.Timer(EVERY, active=False),
        **own,
    )
