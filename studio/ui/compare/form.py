"""The left side of the Compare tab: the question, and what varies."""

from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from studio.comparison.axes import (
    STRENGTHS,
    Axis,
    AxisName,
    AxisValue,
    ComparisonRequest,
    Question,
    compose,
)
from studio.comparison.axis_text import parse_values, separator
from studio.comparison.record import KIND_LABELS
from studio.contract.request import GenerationRequest
from studio.contract.violations import Violation
from studio.ui.assets import BROWSE, TIE
from studio.ui.studio.form import fraction

NO_AXIS = ""
_GRID_AXES = tuple(name for name in AxisName if name not in (AxisName.WEIGHTS, AxisName.TRIGGER))
KIND_HELP = {
    Question.BASE_AGAINST_LORA: "Two cells: the base alone, and the request. Was the LoRA used?",
    Question.FOUR_ARMS: "The LoRA across, its trigger words downwards. Which of them did it?",
    Question.STRENGTHS: "The same picture at several strengths of the first LoRA.",
    Question.SEEDS_STRENGTHS: "Strengths across, seeds downwards. Does the effect hold?",
    Question.LORA_AGAINST_LORA: "The first LoRA, and another one in its place.",
    Question.GRID: "Any two things that vary, and a page for each of several prompts.",
}


AXIS_VALUES = {
    AxisName.STRENGTH.value: ", ".join(map(str, STRENGTHS)),
    AxisName.FINER.value: "te=0, te=0.5, te=1",
    AxisName.GUIDANCE.value: "1.0, 3.0, 5.0",
    AxisName.STEPS.value: "10, 20, 30",
}
"""What an axis begins with when it is chosen."""


@dataclass(frozen=True, slots=True)
class CompareInput:
    """What the panel's fields say, as the browser sent it."""

    kind: str
    seeds: float | None
    strengths: str
    other: str
    columns: str
    column_values: str
    rows: str
    row_values: str
    pages: str
    hold: bool
    fresh: bool

    @property
    def prompts(self) -> tuple[AxisValue, ...]:
        """Those of a series of grids; none where one grid is of the request's own prompt."""
        grid = self.kind == Question.GRID.value
        return parse_values(AxisName.PROMPT, self.pages or "") if grid else ()

    def problems(self) -> tuple[Violation, ...]:
        """A count of seeds that is no whole number; what else may be wrong, the plan says."""
        whole = self.seeds is None or self.seeds == int(self.seeds)
        return () if whole else (fraction("count", "Seeds", self.seeds or 0.0),)

    def of(self, request: GenerationRequest) -> ComparisonRequest:
        """The comparison of ``request``; its count of seeds takes the place of pictures."""
        seeds = 1 if self.seeds is None else int(self.seeds)
        return compose(
            Question(self.kind),
            request.model_copy(update={"count": seeds}),
            values=parse_values(AxisName.STRENGTH, self.strengths or ""),
            other=self.other,
            rows=_axis(self.rows, self.row_values),
            columns=_axis(self.columns, self.column_values),
            hold=self.hold,
        )

    @classmethod
    def of_wanted(cls, wanted: ComparisonRequest, before: "CompareInput") -> "CompareInput":
        """What the fields say so that ``of`` gives ``wanted`` again; those that its kind has no
        use for stay as ``before``."""
        seeds: float = wanted.request.count
        said: dict[str, Any] = {}
        rows, columns = wanted.rows, wanted.columns
        match wanted.kind:
            case Question.STRENGTHS | Question.SEEDS_STRENGTHS:
                said["strengths"] = _text(columns)
                seeds = len(rows.values) if rows is not None else seeds
            case Question.LORA_AGAINST_LORA if columns is not None:
                said["other"] = str(columns.values[-1])
            case Question.GRID:
                said |= {"columns": columns.name.value if columns else NO_AXIS}
                said |= {"rows": rows.name.value if rows else NO_AXIS}
                said |= {"column_values": _text(columns), "row_values": _text(rows), "pages": ""}
        more: dict[str, Any] = {
            "kind": wanted.kind.value,
            "seeds": seeds,
            "hold": wanted.hold,
            "fresh": False,
        }
        return replace(before, **said, **more)


def _text(axis: Axis | None) -> str:
    return "" if axis is None else f"{separator(axis.name)} ".join(map(str, axis.values))


def _axis(name: str, text: str) -> Axis | None:
    if not name:
        return None
    axis = AxisName(name)
    return Axis(name=axis, values=parse_values(axis, text or ""))


@dataclass(frozen=True, slots=True)
class ComparePanel:
    """The components; those that ``CompareInput`` names say the comparison, the rest is shown."""

    kind: gr.Radio
    seeds: gr.Number
    strengths: gr.Textbox
    other: gr.State
    choose: gr.HTML
    columns: gr.Dropdown
    column_values: gr.Textbox
    column_loras: gr.HTML
    rows: gr.Dropdown
    row_values: gr.Textbox
    row_loras: gr.HTML
    pages: gr.Textbox
    hold: gr.Checkbox
    fresh: gr.Checkbox
    request: gr.HTML
    edit: gr.Button
    hint: gr.HTML
    seeds_hint: gr.HTML
    sweep: gr.Column
    duel: gr.Column
    grid: gr.Column
    bar: gr.HTML
    compare: gr.Button
    cancel: gr.Button

    def inputs(self) -> list[Any]:
        """What ``CompareInput`` holds, in its order."""
        return [getattr(self, each.name) for each in fields(CompareInput)]

    def shown(self) -> list[Any]:
        """What refreshing may change."""
        names = (
            "seeds",
            "other",
            "choose",
            "column_loras",
            "row_loras",
            "request",
            "hint",
            "seeds_hint",
            "sweep",
            "duel",
            "grid",
            "bar",
            "compare",
        )
        return [self.kind, *(getattr(self, name) for name in names), self.cancel]


def build() -> ComparePanel:
    """Lay the panel out inside the current column."""
    request = gr.HTML("", apply_default_css=False, elem_classes="ls-asked")
    edit = gr.Button("Change the request in Studio", size="sm", elem_classes="ls-quiet ls-back")
    with gr.Column(elem_classes="ls-field", min_width=80):
        kind = gr.Radio(
            [(KIND_LABELS[kind], kind.value) for kind in Question],
            value=Question.BASE_AGAINST_LORA.value,
            label="Comparison",
            elem_id="kind",
            elem_classes="ls-segments",
        )
        hint = gr.HTML("", apply_default_css=False, elem_classes="ls-hint")
    with gr.Column(visible=False, elem_classes="ls-field", min_width=80) as sweep:
        strengths = gr.Textbox(", ".join(map(str, STRENGTHS)), label="Strengths to try")
    with gr.Column(visible=False, elem_classes="ls-field", min_width=80) as duel:
        choose = _lora_button()
    with gr.Column(visible=False, elem_classes="ls-field ls-axes", min_width=80) as grid:
        columns, column_values = _axis_row("Across", AxisName.GUIDANCE)
        column_loras = _lora_button("ls-grid-loras")
        rows, row_values = _axis_row("Downwards", None)
        row_loras = _lora_button("ls-grid-loras")
        pages = gr.Textbox(
            "",
            label="Prompts, a page for each",
            placeholder="a rocket | a castle; without any, the request's own",
            lines=2,
        )
    with gr.Column(elem_classes="ls-field", min_width=80):
        seeds = gr.Number(1, label="Seeds", elem_id="seeds")
        seeds_hint = gr.HTML("", js_on_load=TIE, apply_default_css=False, elem_classes="ls-hint")
    with gr.Column(elem_classes="ls-options", min_width=80):
        hold = gr.Checkbox(True, label="Use the request's settings in every cell")
        fresh = gr.Checkbox(
            False, label="Regenerate every cell, even if it is already in the gallery"
        )
    with gr.Column(elem_classes="ls-actions", min_width=80):
        with gr.Row(elem_classes="ls-tight"):
            compare = gr.Button(
                "Compare", variant="primary", interactive=False, scale=4, elem_id="compare"
            )
            cancel = gr.Button(
                "Cancel", interactive=False, scale=1, min_width=96, elem_id="cancel-compare"
            )
        bar = gr.HTML("", apply_default_css=False, elem_classes="ls-bar", elem_id="forecast")
    return ComparePanel(
        kind=kind,
        seeds=seeds,
        strengths=strengths,
        other=gr.State(""),
        choose=choose,
        columns=columns,
        column_values=column_values,
        column_loras=column_loras,
        rows=rows,
        row_values=row_values,
        row_loras=row_loras,
        pages=pages,
        hold=hold,
        fresh=fresh,
        request=request,
        edit=edit,
        hint=hint,
        seeds_hint=seeds_hint,
        sweep=sweep,
        duel=duel,
        grid=grid,
        bar=bar,
        compare=compare,
        cancel=cancel,
    )


def _lora_button(style: str = "ls-lora-choice") -> gr.HTML:
    """Opens the LoRA browser; its ``pick`` are the slugs."""
    return gr.HTML("", js_on_load=BROWSE, apply_default_css=False, elem_classes=style)


def _axis_row(label: str, name: AxisName | None) -> tuple[gr.Dropdown, gr.Textbox]:
    names = [(each.label, each.value) for each in _GRID_AXES]
    with gr.Row(elem_classes="ls-tight"):
        axis = gr.Dropdown(
            [("nothing", NO_AXIS), *names] if name is None else names,
            value=name.value if name else NO_AXIS,
            label=label,
            interactive=True,
            scale=2,
            min_width=110,
        )
        text = gr.Textbox(
            AXIS_VALUES[name] if name else "",
            label=f"Values {label.lower()}",
            placeholder="0.4, 0.7 or 0.4..1.2/0.2 (prompts by |)",
            scale=4,
            min_width=140,
        )
    return axis, text
