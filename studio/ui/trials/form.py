"""A new trial: the run, what its files say, the design, and what it costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError

from studio.comparison.axes import AxisName
from studio.comparison.axis_text import parse_values
from studio.contract.request import Overrides
from studio.errors import TrialError
from studio.ui.assets import KEEP_OPEN, PICK
from studio.workspace.trial_design import TrialWanted

BUDGET = 120
"""Pictures that a new trial may make, where its first round does not need more."""
MEASURES = ("contrast", "effect", "likeness", "clip_text", "structure")


@dataclass(frozen=True, slots=True)
class TrialInput:
    """What the form's fields say, as the browser sent it.

    Attributes:
        paths: the run's files; ``prompts`` and ``far``: one a line. A field that was never shown
            is None.
    """

    paths: list[str]
    base: str | None
    trigger: str | None
    prompts: str | None
    far: str | None
    strengths: str | None
    finer: str | None
    images: float | None
    minutes: float | None
    seeds: float | None
    fixed: bool
    by: str | None
    negative: str | None
    steps: float | None
    holdout: str | None
    training: str | None
    name: str | None

    def wanted(self) -> TrialWanted:
        """
        Raises:
            TrialError: a field says what cannot be.
        """
        seeds = _whole("seeds", self.seeds)
        strengths = tuple(parse_values(AxisName.STRENGTH, self.strengths or ""))
        bad = [value for value in strengths if not isinstance(value, float | int)]
        if bad or not strengths:
            said = ", ".join(map(str, bad)) or "nothing"
            raise TrialError(f"{said} is no strength.", "Type numbers, such as 0.6, 0.8, 1.")
        try:
            settings = Overrides(steps=_whole("steps", self.steps))
        except ValidationError as error:
            raise TrialError(f"{self.steps} steps cannot be.", "Type a number above 0.") from error
        if self.minutes is not None and self.minutes <= 0:
            raise TrialError("A budget has to be above 0.", "Leave it blank for none.")
        return TrialWanted(
            paths=tuple(map(Path, self.paths)),
            base=self.base or "",
            subject=_lines(self.prompts),
            far=_lines(self.far),
            trigger=(self.trigger or "").strip(),
            negative=(self.negative or "").strip(),
            strengths=tuple(float(value) for value in strengths),
            finer=tuple(map(str, parse_values(AxisName.FINER, self.finer or ""))),
            seeds=12 if seeds is None else seeds,
            settings=settings,
            images=_whole("images", self.images),
            minutes=self.minutes,
            fixed=self.fixed,
            by=self.by or "",
            name=(self.name or "").strip(),
            holdout=_folder(self.holdout),
            training=_folder(self.training),
        )


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())


def _whole(what: str, value: float | None) -> int | None:
    if value is None:
        return None
    if value != int(value) or value < 1:
        raise TrialError(f"{value:g} {what} cannot be.", "Type a whole number above 0.")
    return int(value)


def _folder(text: str | None) -> Path | None:
    if text is None or not text.strip():
        return None
    path = Path(text.strip()).expanduser()
    if not path.is_dir():
        raise TrialError(f"There is no folder {text.strip()!r}.", "Type its whole path.")
    return path


@dataclass(frozen=True, slots=True)
class NewTrial:
    """The components; ``paths`` are the chosen run's files, ``costed`` what the cost is of."""

    view: gr.Column
    runs: gr.HTML
    place: gr.Textbox
    look: gr.Button
    files: gr.HTML
    design: gr.Column
    base: gr.Dropdown
    trigger: gr.Textbox
    prompts: gr.Textbox
    far: gr.Textbox
    strengths: gr.Textbox
    finer: gr.Textbox
    images: gr.Number
    minutes: gr.Number
    seeds: gr.Number
    fixed: gr.Checkbox
    by: gr.Dropdown
    negative: gr.Textbox
    steps: gr.Number
    holdout: gr.Textbox
    training: gr.Textbox
    name: gr.Textbox
    begin: gr.Button
    cost: gr.HTML
    paths: gr.State
    costed: gr.State

    def inputs(self) -> list[Any]:
        """What ``TrialInput`` holds, in its order."""
        return [getattr(self, each.name) for each in fields(TrialInput)]

    def edited(self) -> Iterator[Any]:
        """The events after which the cost is another; what the studio fills in comes with it."""
        return (part.input for part in self.inputs() if part is not self.paths)

    def all(self) -> list[Any]:
        return [getattr(self, each) for each in self.__slots__]


def build() -> NewTrial:
    """Lay it out inside the current column."""
    own: dict[str, Any] = {"paths": gr.State([]), "costed": gr.State(None)}
    with gr.Column(elem_classes="ls-compared", elem_id="new-trial") as view:
        gr.HTML(
            "<h2>Which checkpoint, which strength?</h2><p class='ls-origin'>Choose the run that a "
            "trainer saved. What its files say is shown first; nothing is generated before you "
            "begin.</p>",
            apply_default_css=False,
            elem_classes="ls-trial-intro",
        )
        own["runs"] = gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_id="trial-runs")
        with gr.Row(elem_classes="ls-tight ls-trial-place"):
            own["place"] = gr.Textbox(
                label="Or a folder, or a pattern",
                placeholder="my-run or output/my-run/*.safetensors",
                min_width=240,
                scale=4,
            )
            own["look"] = gr.Button("Look at it", scale=0, min_width=110)
        own["files"] = gr.HTML(
            "", js_on_load=KEEP_OPEN, apply_default_css=False, elem_id="trial-files"
        )
        with gr.Column(visible=False, elem_classes="ls-trial-design") as design:
            own |= _fields()
            with gr.Column(elem_classes="ls-trial-begin", min_width=80):
                own["cost"] = gr.HTML("", apply_default_css=False, elem_id="trial-cost")
                own["begin"] = gr.Button(
                    "Begin", variant="primary", interactive=False, elem_id="begin-trial"
                )
    return NewTrial(view=view, design=design, **own)


def _fields() -> dict[str, Any]:
    own: dict[str, Any] = {}
    with gr.Row(elem_classes="ls-tight"):
        own["base"] = gr.Dropdown([], label="Base", interactive=True, min_width=180)
        own["trigger"] = gr.Textbox(
            label="Trigger words", placeholder="none", min_width=180, max_lines=1
        )
    with gr.Row(elem_classes="ls-tight"):
        own["prompts"] = gr.Textbox(
            label="Prompts of what was trained, without trigger words, one a line",
            lines=4,
            max_lines=12,
            min_width=260,
        )
        own["far"] = gr.Textbox(
            label="Prompts of something else, one a line", lines=4, max_lines=12, min_width=260
        )
    with gr.Row(elem_classes="ls-tight"):
        own["strengths"] = gr.Textbox("1", label="Strengths", min_width=120, max_lines=1)
        own["steps"] = gr.Number(None, label="Steps", min_width=120)
        own["images"] = gr.Number(BUDGET, label="Pictures at most", precision=0, min_width=120)
        own["minutes"] = gr.Number(None, label="Minutes at most", min_width=120)
    with gr.Accordion("More", open=False, elem_classes="ls-settings"):
        own["finer"] = gr.Textbox(
            label="Finer strengths, each tried at every strength",
            placeholder="none, te=0.4, mid=0:until=6: parts, and the steps in which it is on",
            max_lines=1,
        )
        with gr.Row(elem_classes="ls-tight"):
            own["seeds"] = gr.Number(12, label="Seeds at most", min_width=120)
            own["by"] = gr.Dropdown(
                [("the usual one", ""), *((name, name) for name in MEASURES)],
                value="",
                label="Decided by",
                min_width=150,
            )
            own["name"] = gr.Textbox(
                label="Name of the trial", placeholder="the run's", min_width=150, max_lines=1
            )
        own["fixed"] = gr.Checkbox(
            False, label="Every checkpoint gets every seed; none leaves early"
        )
        own["negative"] = gr.Textbox(label="Negative prompt", max_lines=3)
        with gr.Row(elem_classes="ls-tight"):
            own["holdout"] = gr.Textbox(
                label="Folder of pictures that were not trained on",
                placeholder="for the likeness; needs CLIP_MODEL",
                min_width=220,
                max_lines=1,
            )
            own["training"] = gr.Textbox(
                label="Folder of pictures that were trained on",
                placeholder="to tell what was learnt by heart",
                min_width=220,
                max_lines=1,
            )
    return own


def budget(arms: int, prompts: int) -> int:
    """Pictures for a new trial: twice its first round, and no fewer than ``BUDGET``."""
    round_ = (arms + 1) * prompts
    return max(BUDGET, -(-2 * round_ // 10) * 10)


def lines(texts: Sequence[str]) -> str:
    return "\n".join(texts)
