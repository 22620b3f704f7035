"""A comparison's request → its cells, each resolved into a plan of its own."""

from collections.abc import Callable, Iterator, Sequence

from studio.architecture import Mode
from studio.comparison.axes import (
    AS_CHOSEN,
    NUMBERS,
    ON,
    SETTING_AXES,
    Axis,
    AxisName,
    AxisValue,
    CellPlan,
    ComparisonPlan,
    ComparisonRequest,
    Place,
    Question,
    Role,
)
from studio.comparison.checks import check, check_words
from studio.comparison.same_run import same_runs
from studio.contract.origin import Origin
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import Violation

Resolve = Callable[[GenerationRequest], RunPlan | tuple[Violation, ...]]
Refusals = tuple[Violation, ...]


def plan_comparison(wanted: ComparisonRequest, resolve: Resolve) -> ComparisonPlan | Refusals:
    """Every cell's plan, or every violation of the axes and of any cell, each once."""
    found: list[Violation] = list(check(wanted))
    reference = resolve(wanted.request.model_copy(update={"count": 1}))
    if not isinstance(reference, RunPlan):
        return tuple(dict.fromkeys([*found, *reference]))
    found += check_words(wanted, reference)
    if found:
        return tuple(dict.fromkeys(found))
    start = held(wanted, reference) if wanted.hold else wanted.request
    cells: list[CellPlan] = []
    for place, request in expand(wanted, start):
        answer = resolve(request)
        if isinstance(answer, RunPlan):
            cells.append(CellPlan(place=place, plan=answer))
        else:
            found += answer
    if found:
        return tuple(dict.fromkeys(found))
    plan = ComparisonPlan(
        wanted=wanted,
        rows=_labels(wanted.rows, [cell for cell in cells if cell.place.column == 0]),
        columns=_labels(wanted.columns, [cell for cell in cells if cell.place.row == 0]),
        cells=tuple(cells),
    )
    return tuple(violation for violation, _ in same_runs(plan)) or plan


def held(wanted: ComparisonRequest, plan: RunPlan) -> GenerationRequest:
    """See ``holding``."""
    return holding(wanted.request, plan, wanted.names_held)


def holding(request: GenerationRequest, plan: RunPlan, names_held: bool) -> GenerationRequest:
    """The request with what it resolves to said outright, so that no cell decides anew.

    Args:
        names_held: the request names what was held so.
    """
    resolved = {name: getattr(plan.settings, name) for name in type(request.settings).model_fields}
    said = {
        n: each for n, each in resolved.items() if each and each.origin is not Origin.CONVENTION
    }
    names = tuple(name for name, each in said.items() if each.origin is not Origin.USER)
    return request.model_copy(
        update={
            "settings": request.settings.model_copy(
                update={name: each.value for name, each in said.items()}
            ),
            "negative_prompt": plan.prompt.negative_text,
            "held": names if names_held else request.held,
        }
    )


def expand(
    wanted: ComparisonRequest, start: GenerationRequest
) -> Iterator[tuple[Place, GenerationRequest]]:
    """Every cell's place and request, the controls last."""
    rows, columns = _values(wanted.rows), _values(wanted.columns)
    arms: dict[tuple[int, int], GenerationRequest] = {}
    for row, above in enumerate(rows):
        for column, beside in enumerate(columns):
            request = start.model_copy(update={"count": 1})
            for axis, value in ((wanted.rows, above), (wanted.columns, beside)):
                request = request if axis is None else apply(axis.name, value, request)
            arms[row, column] = _consented(without_idle_loras(request), wanted.consents)
    for repeat in range(start.count):
        for (row, column), request in arms.items():
            seeded = request.model_copy(update={"seed": request.seed + repeat})
            yield Place(row=row, column=column, repeat=repeat), seeded
    yield from _controls(wanted, start, arms)


def _controls(
    wanted: ComparisonRequest,
    start: GenerationRequest,
    arms: dict[tuple[int, int], GenerationRequest],
) -> Iterator[tuple[Place, GenerationRequest]]:
    """Of each base that stands alone in an arm: its LoRAs at strength 0 (four arms), and the
    first such arm once more at the end."""
    alone: dict[str, tuple[int, int]] = {}
    for at, request in arms.items():
        if request.mode is Mode.BASE:
            alone.setdefault(request.base, at)
    for row, column in alone.values():
        again = arms[row, column]
        if wanted.kind is Question.FOUR_ARMS:
            nothing = {"strength": 0.0, "parts": (), "first_step": None, "last_step": None}
            off = tuple(choice.model_copy(update=nothing) for choice in start.loras)
            zero = again.model_copy(update={"mode": Mode.LORA, "loras": off})
            yield Place(row=row, column=column, role=Role.SCALE_ZERO), zero
        yield Place(row=row, column=column, role=Role.BASE_AGAIN), again


def apply(name: AxisName, value: AxisValue, request: GenerationRequest) -> GenerationRequest:
    """``request`` with one axis at one value; strength and LoRA mean the first LoRA chosen."""
    if name in SETTING_AXES:
        given = float(value) if name in NUMBERS else value
        varied = SETTING_AXES[name].name
        settings = request.settings.model_copy(update={varied: given})
        rest = tuple(each for each in request.held if each != varied)
        return request.model_copy(update={"settings": settings, "held": rest})
    match name:
        case AxisName.STRENGTH | AxisName.FINER | AxisName.LORA:
            return request.model_copy(update={"loras": _first_lora(name, value, request)})
        case AxisName.WEIGHTS:
            return _switched(request, value == ON, request.mode.takes_trigger_words)
        case AxisName.TRIGGER:
            return _switched(request, request.mode.applies_loras, value == ON)
        case _:
            said = Mode(str(value)) if name is AxisName.MODE else value
            return request.model_copy(update={name.value: said})


def _first_lora(
    name: AxisName, value: AxisValue, request: GenerationRequest
) -> tuple[LoraChoice, ...]:
    if not request.loras:
        return ()
    first, *rest = request.loras
    if name is AxisName.STRENGTH:
        return (first.model_copy(update={"strength": float(value)}), *rest)
    if name is AxisName.FINER:
        return (first if value == AS_CHOSEN else first.with_finer(str(value)), *rest)
    # Another LoRA has other trigger words.
    phrases = first.phrases if value == first.slug else None
    return (first.model_copy(update={"slug": str(value), "phrases": phrases}), *rest)


def without_idle_loras(request: GenerationRequest) -> GenerationRequest:
    """The base mode takes no LoRAs; every other mode needs them, for weights or words."""
    return request.model_copy(update={"loras": ()}) if request.mode is Mode.BASE else request


def _consented(request: GenerationRequest, consents: frozenset[str]) -> GenerationRequest:
    """``request`` with a waiver for the LoRAs it was given for, and for no other one that an
    axis puts in their place."""
    loras = tuple(
        choice.model_copy(update={"allow_partial": choice.slug in consents})
        for choice in request.loras
    )
    return request.model_copy(update={"loras": loras})


def _switched(request: GenerationRequest, weights: bool, words: bool) -> GenerationRequest:
    modes = {
        (False, False): Mode.BASE,
        (False, True): Mode.TRIGGER_ONLY,
        (True, False): Mode.LORA,
        (True, True): Mode.LORA_WITH_TRIGGER,
    }
    return request.model_copy(update={"mode": modes[weights, words]})


def _values(axis: Axis | None) -> tuple[AxisValue, ...]:
    return ("",) if axis is None else axis.values


def _labels(axis: Axis | None, line: Sequence[CellPlan]) -> tuple[str, ...]:
    """What stands at each value of ``axis``; ``line`` holds a cell of each."""
    if axis is None:
        return ("",)
    return tuple(
        _label(axis.name, value, line[index].plan) for index, value in enumerate(axis.values)
    )


def _label(name: AxisName, value: AxisValue, plan: RunPlan) -> str:
    match name:
        case AxisName.MODE:
            return Mode(str(value)).label
        case AxisName.LORA:
            return next((use.label for use in plan.loras if use.slug == value), str(value))
        case AxisName.BASE:
            return plan.base.label
        case AxisName.PROMPT:
            return f"“{value}”"
        case _:
            return f"{name.label} {value}"
