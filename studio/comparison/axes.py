"""What varies in a comparison, the request for one, and the questions people ask most.

An axis is typed as ``strength=0.4,0.7`` or, for prompts, ``prompt=a cat|a dog``.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from studio.architecture import Mode
from studio.contract.base import Contract, Versioned, added, fingerprint, says_nothing
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
from studio.contract.settings import SETTINGS, SettingKind

MAX_CELLS = 64
"""Cells of one comparison's grid, on all its seeds together; its few controls come on top."""
MAX_PAGES = 16
"""Prompts of a series."""

STRENGTHS = (0.4, 0.7, 1.0)
"""The sweep that is offered first: subtle, balanced, strong."""

OFF, ON = "off", "on"
AS_CHOSEN = "none"
"""On the axis of the finer strength."""


_LATER = {each.name: each.axis_since for each in SETTINGS if each.axis_since is not None}


class AxisName(StrEnum):
    """What varies along an axis; every setting that is a number is one."""

    STRENGTH = "strength"
    SEED = "seed"
    LORA = "lora"
    GUIDANCE = "guidance"
    STEPS = "steps"
    PROMPT = "prompt"
    CLIP_SKIP = "clip_skip"
    BASE = "base"
    MODE = "mode"
    WEIGHTS = "weights"
    """The LoRAs' weights, ``off`` or ``on``; the trigger words stay as they are."""
    TRIGGER = "trigger"
    """The trigger words, ``off`` or ``on``; the weights stay as they are."""
    FINER = "finer_strength"
    """Of the first LoRA, such as ``te=0.4:until=6``; ``none`` is as it is chosen."""
    # Listed here, a setting would be declared twice.
    locals().update({name.upper(): name for name in _LATER})

    __since__ = {"finer_strength": 4, **_LATER}  # noqa: RUF012  # schema steps of later values; see CONTRIBUTING.md

    @property
    def label(self) -> str:
        return SETTING_AXES[self].compared_as if self in SETTING_AXES else _LABELS[self]


SETTING_AXES = {
    name: setting
    for name in AxisName
    for setting in SETTINGS
    if name.value in (setting.name, setting.compared_as)
}
"""Axes that vary a setting."""

_LABELS = {
    AxisName.STRENGTH: "strength",
    AxisName.SEED: "seed",
    AxisName.LORA: "LoRA",
    AxisName.PROMPT: "prompt",
    AxisName.BASE: "base",
    AxisName.MODE: "mode",
    AxisName.WEIGHTS: "LoRA",
    AxisName.TRIGGER: "trigger",
    AxisName.FINER: "finer strength",
}

AxisValue = StrictStr | StrictInt | StrictFloat

NUMBERS = {AxisName.STRENGTH} | {n for n, s in SETTING_AXES.items() if s.kind is SettingKind.FLOAT}
WHOLE_NUMBERS = {AxisName.SEED} | {n for n, s in SETTING_AXES.items() if s.kind is SettingKind.INT}


class Axis(Contract):
    """One thing that varies, and its values in the order in which they are shown."""

    name: AxisName
    values: tuple[AxisValue, ...]


class Question(StrEnum):
    """The question a comparison asks; it says which axes and controls there are."""

    BASE_AGAINST_LORA = "base_against_lora"
    FOUR_ARMS = "four_arms"
    STRENGTHS = "strengths"
    SEEDS_STRENGTHS = "seeds_strengths"
    LORA_AGAINST_LORA = "lora_against_lora"
    GRID = "grid"


class ComparisonRequest(Contract):
    """What somebody wants compared.

    Attributes:
        request: every cell's starting point; its ``count`` is the number of seeds on which
            the whole grid is repeated, from its ``seed`` upwards.
        hold: every cell takes the settings and the negative prompt that the request itself
            resolves to, so that a LoRA's own wishes do not differ along with it.
        exact: each cell is a call of its own, bit-identical to a single picture. Always true
            now; earlier releases could let cells share calls, and wrote false.
        allow_partial: slugs on the axis LoRA, besides those of the request's own choices, of
            which what has no place in the base may be left out.
        names_held: the cells' plans say of what the comparison holds that it does; those of
            earlier releases said that the user had asked for it.
    """

    kind: Question
    request: GenerationRequest
    rows: Axis | None = None
    columns: Axis | None = None
    hold: StrictBool = True
    exact: StrictBool = True
    allow_partial: tuple[str, ...] = Field(default=(), exclude_if=says_nothing)
    names_held: StrictBool = added(since=3, default=False)

    @property
    def consents(self) -> frozenset[str]:
        """The LoRAs that may be applied in part; consent is for a LoRA, wherever it stands."""
        chosen = (choice.slug for choice in self.request.loras if choice.allow_partial)
        return frozenset((*chosen, *self.allow_partial))

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(axis for axis in (self.rows, self.columns) if axis is not None)

    @property
    def series(self) -> str:
        """Equal for comparisons that differ in nothing but the prompt: each other's pages."""
        unsaid = self.request.model_copy(update={"prompt": ""})
        return fingerprint(self.model_copy(update={"request": unsaid}).model_dump(mode="json"))

    def pages(self, prompts: Sequence[AxisValue]) -> tuple["ComparisonRequest", ...]:
        """The same once for each of ``prompts``; itself where there are none."""
        said = (self.request.model_copy(update={"prompt": prompt}) for prompt in prompts)
        return tuple(self.model_copy(update={"request": each}) for each in said) or (self,)


class Role(StrEnum):
    """Why a cell is there."""

    ARM = "arm"
    SCALE_ZERO = "scale_zero"
    """The LoRA switched on at strength 0: it must equal the base, bit for bit."""
    BASE_AGAIN = "base_again"
    """A base once more after everything else of it: it must equal the base before."""


_Index = Annotated[int, Field(ge=0, lt=MAX_CELLS)]


class Place(Contract):
    """Where a cell stands: 0-based row, column and repetition (seed)."""

    row: _Index
    column: _Index
    repeat: _Index = 0
    role: Role = Role.ARM


class CellPlan(Contract):
    """One cell with its whole contract."""

    place: Place
    plan: RunPlan

    @property
    def seed(self) -> int:
        return self.plan.seed


class ComparisonPlan(Versioned):
    """Everything a comparison is; equal requests give equal plans.

    Attributes:
        rows, columns: what is written beside and above the grid; one empty label where
            there is no such axis.
    """

    wanted: ComparisonRequest
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[CellPlan, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the request and the cells' fingerprints."""
        cells = [
            [cell.place.model_dump(mode="json"), cell.plan.fingerprint] for cell in self.cells
        ]
        return fingerprint([self.wanted.model_dump(mode="json"), cells])


def _asked(kind: Question, request: GenerationRequest, **axes: Axis | None) -> ComparisonRequest:
    return ComparisonRequest(kind=kind, request=request, names_held=True, **axes)


def base_against_lora(request: GenerationRequest) -> ComparisonRequest:
    """Two cells: the base alone, and the request as it is."""
    axis = Axis(name=AxisName.MODE, values=(Mode.BASE.value, request.mode.value))
    return _asked(Question.BASE_AGAINST_LORA, request, columns=axis)


def four_arms(request: GenerationRequest) -> ComparisonRequest:
    """Base, base + trigger, LoRA, LoRA + trigger: the trigger downwards, the LoRA across."""
    rows = Axis(name=AxisName.TRIGGER, values=(OFF, ON))
    columns = Axis(name=AxisName.WEIGHTS, values=(OFF, ON))
    return _asked(Question.FOUR_ARMS, request, rows=rows, columns=columns)


def strengths(request: GenerationRequest, values: Sequence[AxisValue]) -> ComparisonRequest:
    axis = Axis(name=AxisName.STRENGTH, values=tuple(values))
    return _asked(Question.STRENGTHS, request, columns=axis)


def seeds_strengths(request: GenerationRequest, values: Sequence[AxisValue]) -> ComparisonRequest:
    """The request's seeds (``count`` of them) downwards, strengths across.

    More seeds than a comparison has cells are not written out: their number alone is refused.
    """
    kind = Question.SEEDS_STRENGTHS
    columns = Axis(name=AxisName.STRENGTH, values=tuple(values))
    if request.count > MAX_CELLS:
        return _asked(kind, request, columns=columns)
    seeds = Axis(
        name=AxisName.SEED, values=tuple(range(request.seed, request.seed + request.count))
    )
    one = request.model_copy(update={"count": 1})
    return _asked(kind, one, rows=seeds, columns=columns)


def lora_against_lora(request: GenerationRequest, other: str) -> ComparisonRequest:
    """The request's first LoRA, and ``other`` in its place."""
    first = request.loras[0].slug if request.loras else ""
    axis = Axis(name=AxisName.LORA, values=(first, other))
    return _asked(Question.LORA_AGAINST_LORA, request, columns=axis)


def compose(
    kind: Question,
    request: GenerationRequest,
    *,
    values: Sequence[AxisValue] = STRENGTHS,
    other: str = "",
    rows: Axis | None = None,
    columns: Axis | None = None,
    **said: object,
) -> ComparisonRequest:
    """The comparison of ``kind``, from whichever of the arguments that kind needs.

    Args:
        said: ``ComparisonRequest``'s other fields, as somebody said them.

    Raises:
        ValidationError: one of them is of another type.
    """
    composed = _composed(kind, request, values, other, (rows, columns))
    return ComparisonRequest.model_validate({**dict(composed), **said})


def _composed(
    kind: Question,
    request: GenerationRequest,
    values: Sequence[AxisValue],
    other: str,
    axes: tuple[Axis | None, Axis | None],
) -> ComparisonRequest:
    match kind:
        case Question.BASE_AGAINST_LORA:
            return base_against_lora(request)
        case Question.FOUR_ARMS:
            return four_arms(request)
        case Question.STRENGTHS:
            return strengths(request, values)
        case Question.SEEDS_STRENGTHS:
            return seeds_strengths(request, values)
        case Question.LORA_AGAINST_LORA:
            return lora_against_lora(request, other)
        case Question.GRID:
            rows, columns = axes
            return _asked(kind, request, rows=rows, columns=columns)
