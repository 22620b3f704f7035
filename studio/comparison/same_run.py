"""Cells that an axis means to differ, and that are one and the same run all the same."""

from collections.abc import Iterator, Mapping
from typing import Literal

from studio.comparison.axes import Axis, AxisName, CellPlan, ComparisonPlan, Role
from studio.comparison.facts import (
    BASE,
    GUIDANCE,
    LORA,
    PROMPT,
    STRENGTH,
    TRIGGER,
    effective,
    facts,
)
from studio.contract.plan import RunPlan
from studio.contract.violations import SameRun

_Side = Literal["rows", "columns"]
_Pair = tuple[int, int]
_Reach = Mapping[str, str]

_ABOUT_WEIGHTS = (AxisName.FINER, AxisName.LORA, AxisName.WEIGHTS, AxisName.MODE)
"""Axes that a strength of 0, as one point of the other axis, leaves without effect on purpose."""

_UNUSED_WITHOUT_WEIGHTS = (AxisName.STRENGTH, AxisName.FINER, AxisName.LORA)
"""Axes that only repeat a cell whose mode applies no LoRA: the base beside every strength."""


def same_runs(plan: ComparisonPlan) -> Iterator[tuple[SameRun, _Pair]]:
    """Values of an axis that give one and the same run, each with the cells (0-based) it was
    seen in; of several that are all alike, each stands beside the first.

    Two values are refused where their cells are equal at every place of the other axis, or at
    one where they were meant to differ. Places without both cells are not judged.
    """
    arms = {
        (cell.place.row, cell.place.column): index
        for index, cell in enumerate(plan.cells)
        if cell.place.role is Role.ARM and cell.place.repeat == 0
    }
    reach = {index: effective(plan.cells[index].plan) for index in arms.values()}
    for side in ("rows", "columns"):
        axis = plan.wanted.rows if side == "rows" else plan.wanted.columns
        labels = plan.rows if side == "rows" else plan.columns
        for later in range(1, len(labels) if axis else 0):
            found = (_alike(plan, side, arms, reach, (one, later)) for one in range(later))
            yield from [each for each in found if each is not None][:1]


def _alike(
    plan: ComparisonPlan,
    side: _Side,
    arms: Mapping[_Pair, int],
    reach: Mapping[int, _Reach],
    values: _Pair,
) -> tuple[SameRun, _Pair] | None:
    others = range(len(plan.columns if side == "rows" else plan.rows))
    lines = [[(value, at) if side == "rows" else (at, value) for value in values] for at in others]
    if not all(place in arms for line in lines for place in line):
        return None
    pairs = [(arms[one], arms[other]) for one, other in lines]
    equal = [at for at, (one, other) in enumerate(pairs) if reach[one] == reach[other]]
    everywhere = len(equal) == len(pairs)
    wrong = equal if everywhere else [at for at in equal if _meant(plan, side, at, pairs[at])]
    if not wrong:
        return None
    at = wrong[0]
    return _violation(plan, side, values, None if everywhere else at, pairs[at]), pairs[at]


def _meant(plan: ComparisonPlan, side: _Side, at: int, pair: _Pair) -> bool:
    """Whether the axis means its two cells at this place of the other axis to differ."""
    axis, other = _axes(plan, side)
    if axis.name in _UNUSED_WITHOUT_WEIGHTS and not any(
        plan.cells[index].plan.mode.applies_loras for index in pair
    ):
        return False
    switched_off = (
        other is not None and other.name is AxisName.STRENGTH and 0 in other.values[at : at + 1]
    )
    return not (switched_off and axis.name in _ABOUT_WEIGHTS)


def _axes(plan: ComparisonPlan, side: _Side) -> tuple[Axis, Axis | None]:
    """The axis on ``side``, which there is, and the other one."""
    rows, columns = plan.wanted.rows, plan.wanted.columns
    axis, other = (rows, columns) if side == "rows" else (columns, rows)
    assert axis is not None
    return axis, other


def _violation(
    plan: ComparisonPlan, side: _Side, values: _Pair, at: int | None, pair: _Pair
) -> SameRun:
    labels, others = plan.rows, plan.columns
    if side == "columns":
        labels, others = others, labels
    one, other = (plan.cells[index] for index in pair)
    reasons = list(_reasons(one, other))
    return SameRun(
        field=f"comparison.{side}",
        left=quoted(labels[values[0]]),
        right=quoted(labels[values[1]]),
        where="" if at is None else f" at {quoted(others[at])}",
        reason=", and ".join(reason for reason, _ in reasons),
        remedy=" ".join(remedy for _, remedy in reasons),
    )


def _reasons(left: CellPlan, right: CellPlan) -> Iterator[tuple[str, str]]:
    """Why what differs between two plans reaches no pixel, and what to do about it."""
    one, other = facts(left.plan), facts(right.plan)
    found = [
        words
        for name, words in (
            (LORA, _of_weights(left.plan, right.plan)),
            (TRIGGER, _of_triggers(one[TRIGGER], other[TRIGGER])),
            (PROMPT, _of_prompts(left.plan, right.plan)),
            (GUIDANCE, _GUIDANCE_OFF),
            (BASE, _SAME_BASE),
        )
        if one[name] != other[name] or (name == LORA and one[STRENGTH] != other[STRENGTH])
    ]
    yield from found or [_NOTHING]


_GUIDANCE_OFF = (
    "guidance is off at 1 and below, whatever the number",
    "Take a guidance above 1 for one of them.",
)
_SAME_BASE = ("both bases are the same weights", "Choose another base.")
_NOTHING = (
    "what this axis varies takes no part in them",
    "Leave the axis out, or choose a mode in which it counts.",
)


def _of_weights(left: RunPlan, right: RunPlan) -> tuple[str, str]:
    if all(use.acts for use in (*left.loras, *right.loras)):
        return "both LoRAs are the same weights", "Choose another LoRA."
    return "a LoRA at strength 0 changes nothing", "Give it a strength above 0."


def _of_triggers(left: str, right: str) -> tuple[str, str]:
    if "none" in (left, right):
        return "the trigger words stand in the prompt already", "Take them out of the prompt."
    return "both have the same trigger words", "Choose a LoRA with other words."


def _of_prompts(left: RunPlan, right: RunPlan) -> tuple[str, str]:
    remedy = "Keep one of them, or write other words in one."
    if left.prompt.text == right.prompt.text:
        return f"both prompts come to “{left.prompt.text}”", remedy
    return "the text encoder reads both prompts alike", remedy


def quoted(label: str) -> str:
    """A label in a sentence; a prompt's has its quotes already."""
    return label if label.startswith("“") else f"“{label}”"
