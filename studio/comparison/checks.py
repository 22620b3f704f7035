"""What can be wrong with a comparison's axes, before any cell is looked at."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from studio.architecture import Mode
from studio.comparison.axes import (
    AS_CHOSEN,
    MAX_CELLS,
    MAX_PAGES,
    NUMBERS,
    OFF,
    ON,
    SETTING_AXES,
    WHOLE_NUMBERS,
    Axis,
    AxisName,
    AxisValue,
    ComparisonRequest,
    Question,
)
from studio.contract.plan import RunPlan
from studio.contract.request import LoraChoice
from studio.contract.violations import (
    AxesClash,
    AxisTooShort,
    AxisValueRefused,
    AxisValueTwice,
    ComparisonNeedsLora,
    NothingToCompare,
    OutOfRange,
    TooManyCells,
    TriggerAxisWithoutWords,
    Violation,
)

_WANTED = {
    AxisName.STRENGTH: "a strength as a number",
    AxisName.SEED: "a seed as a whole number",
    AxisName.LORA: "the slug of a LoRA",
    AxisName.BASE: "the slug of a base",
    AxisName.PROMPT: "a prompt",
    AxisName.MODE: f"a mode: {', '.join(Mode)}",
    AxisName.WEIGHTS: f"{OFF} or {ON}",
    AxisName.TRIGGER: f"{OFF} or {ON}",
    AxisName.FINER: f"a part's strength or steps, such as te=0.4 or until=6, or {AS_CHOSEN}",
    **{
        name: f"{setting.words} as a {'whole ' if name in WHOLE_NUMBERS else ''}number"
        for name, setting in SETTING_AXES.items()
    },
}
_SWITCHES = (AxisName.WEIGHTS, AxisName.TRIGGER)
_OF_THE_LORA = (AxisName.STRENGTH, AxisName.FINER, AxisName.LORA, *_SWITCHES)


def check(wanted: ComparisonRequest) -> Iterator[Violation]:
    """Everything wrong with the axes; after it, expanding cannot fail."""
    if not wanted.axes:
        yield NothingToCompare()
    for field, axis in (("rows", wanted.rows), ("columns", wanted.columns)):
        if axis is not None:
            yield from _axis(f"comparison.{field}", axis)
    yield from _together(wanted)
    yield from _needs_lora(wanted)
    seeds = wanted.request.count
    if seeds < 1:
        yield OutOfRange(field="count", name="Seeds", value=seeds, low=1, high=MAX_CELLS)
    count = cells_of(wanted)
    if count > MAX_CELLS:
        yield TooManyCells(count=count, limit=MAX_CELLS)


def check_pages(wanted: ComparisonRequest, prompts: Sequence[AxisValue]) -> Iterator[Violation]:
    """What is wrong with the prompts of a series."""
    if not prompts:
        return
    field = "comparison.pages"
    yield from _axis(field, Axis(name=AxisName.PROMPT, values=tuple(prompts)))
    if AxisName.PROMPT in (axis.name for axis in wanted.axes):
        reason = "The prompts are an axis of the grid, and its pages too."
        yield _clash(reason, "Take the prompts as an axis, or as pages, not both.", field)
    if len(prompts) > MAX_PAGES:
        yield OutOfRange(field=field, name="Pages", value=len(prompts), low=2, high=MAX_PAGES)


def cells_of(wanted: ComparisonRequest) -> int:
    """How many cells the grid has, its controls left out."""
    return math.prod(len(axis.values) for axis in wanted.axes) * max(1, wanted.request.count)


def check_words(wanted: ComparisonRequest, plan: RunPlan) -> Iterator[Violation]:
    """A trigger that is switched off and on is there; ``plan`` is the request's own."""
    switched = any(axis.name is AxisName.TRIGGER for axis in wanted.axes)
    if switched and plan.loras and not plan.triggers:
        labels = ", ".join(use.label for use in plan.loras)
        yield TriggerAxisWithoutWords(labels=labels)


def _axis(field: str, axis: Axis) -> Iterator[Violation]:
    if len(axis.values) < 2:
        yield AxisTooShort(field=field, name=axis.name.label, count=len(axis.values))
    for value, times in Counter(axis.values).items():
        if times > 1:
            yield AxisValueTwice(field=field, name=axis.name.label, value=str(value))
        if not _fits(axis.name, value):
            wanted = _WANTED[axis.name]
            name = axis.name.label
            yield AxisValueRefused(field=field, name=name, value=str(value), wanted=wanted)


def _fits(name: AxisName, value: AxisValue) -> bool:
    if name in NUMBERS:
        return isinstance(value, int | float) and _is_float(value)
    if name in WHOLE_NUMBERS:
        return isinstance(value, int)
    if name is AxisName.MODE:
        return value in tuple(Mode)
    if name in _SWITCHES:
        return value in (OFF, ON)
    if name is AxisName.FINER and value != AS_CHOSEN:
        return _is_finer(value)
    return isinstance(value, str) and bool(value.strip())


def _is_finer(value: AxisValue) -> bool:
    try:
        LoraChoice(slug="any").with_finer(str(value))
    except ValueError:
        return False
    return True


def _is_float(value: int | float) -> bool:
    """Whether it is finite as a float; whole numbers can be larger than any."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _together(wanted: ComparisonRequest) -> Iterator[Violation]:
    names = [axis.name for axis in wanted.axes]
    if len(set(names)) < len(names):
        yield _clash(f"Both axes are {names[0].label}.", "Let one of them be something else.")
    if AxisName.MODE in names and any(name in _SWITCHES for name in names):
        yield _clash(
            "The mode says already whether LoRA and trigger are on.",
            "Take the axis mode, or the axes LoRA and trigger, not both.",
        )
    if AxisName.SEED in names and wanted.request.count > 1:
        yield _clash(
            "Seeds are an axis, and the comparison is also repeated on several seeds.",
            "Set the number of seeds to 1, or take the axis away.",
        )


def _clash(reason: str, remedy: str, field: str = "comparison.rows") -> AxesClash:
    return AxesClash(field=field, reason=reason, remedy=remedy)


def _needs_lora(wanted: ComparisonRequest) -> Iterator[Violation]:
    """Questions about a LoRA start from a request that applies one."""
    about = wanted.kind is Question.BASE_AGAINST_LORA or any(
        axis.name in _OF_THE_LORA for axis in wanted.axes
    )
    if about and not wanted.request.mode.applies_loras:
        yield ComparisonNeedsLora(mode=wanted.request.mode.value)
