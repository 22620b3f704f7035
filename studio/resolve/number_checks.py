"""The rules of the settings: each has one value, within what the base takes."""

from collections.abc import Iterator

from studio.architecture import guides
from studio.architecture.pipelines import ALL_SCHEDULER_NAMES, schedulers_for
from studio.contract.settings import LONGEST_SIDE, MAX_STEPS, SETTINGS, SHORTEST_SIDE
from studio.contract.violations import (
    DtypeNotSupported,
    GuidanceNotSupported,
    NotAMultiple,
    SchedulerDoesNotFit,
    SettingNotSupported,
    StrengthOutOfRange,
    TooManyPixels,
    UnknownPart,
    UnknownScheduler,
    Violation,
)
from studio.presets import LoraPreset
from studio.resolve.checks import in_range
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft


def check_settings(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Every setting has one value, within its range, and the base takes it."""
    yield from choices.problems
    basis = draft.basis(choices.scheduler)
    for setting in SETTINGS:
        if not setting.is_taken(basis):
            if getattr(draft.request.settings, setting.name) is not None:
                yield SettingNotSupported(
                    field=setting.field,
                    name=setting.words,
                    label=draft.model.label,
                    taken_by=setting.taken_by,
                )
            continue
        value = choices.number(setting.name)
        if value is not None and setting.limits is not None:
            yield from in_range(setting.field, setting.words, value, *setting.limits(basis))
    guidance = choices.number("guidance_scale")
    # A number that the transformer would only not read is told in a notice; here it would
    # promise a second pass that there is not.
    unguided = draft.ignores_guidance and draft.pipeline.guidance.is_cfg
    if unguided and guidance is not None and guides(guidance):
        yield GuidanceNotSupported(label=draft.model.label, value=guidance)
    for _, preset in draft.chosen:
        yield from _check_strengths(draft, choices, preset)
    yield from _check_scheduler(draft, choices)
    yield from _check_precision(draft)


def _check_strengths(
    draft: Draft, choices: SettingChoices, preset: LoraPreset
) -> Iterator[Violation]:
    """A LoRA's strengths are in its range, the base has the parts they are of, and it is on in
    one of the steps."""
    low, high = preset.settings.strengths
    field, parts = f"loras.{preset.slug}.strength", choices.parts[preset.slug]
    for said in (choices.strengths[preset.slug], *parts.values()):
        if not low <= said.value <= high:
            yield StrengthOutOfRange(
                field=field, label=preset.label, value=said.value, low=low, high=high
            )
    yield from _check_span(choices, preset, field)
    known = {each.name: each.label for each in draft.traits.parts}
    for part in parts.keys() - known.keys():
        yield UnknownPart(
            field=field,
            label=preset.label,
            part=part,
            architecture=draft.traits.label,
            known=", ".join(f"{name} ({label})" for name, label in known.items()),
        )


def _check_span(choices: SettingChoices, preset: LoraPreset, field: str) -> Iterator[Violation]:
    """The first step is one of the run's, and the last not before it; a later one than the run
    has leaves the LoRA on to its end."""
    first, last = choices.spans[preset.slug]
    steps = choices.number("steps")
    begins = 1 if first is None else first.value
    if first is not None and steps is not None:
        yield from in_range(field, f"first step of {preset.label}", begins, 1, steps)
    if last is not None:
        most = max(MAX_STEPS, begins)
        yield from in_range(field, f"last step of {preset.label}", last.value, begins, most)


def _check_scheduler(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    chosen = choices.scheduler
    if chosen is None:
        return
    fitting = schedulers_for(draft.traits.flow_matching)
    known = ", ".join(fitting)
    if chosen not in ALL_SCHEDULER_NAMES:
        yield UnknownScheduler(scheduler=chosen, known=known)
    elif chosen not in fitting:
        yield SchedulerDoesNotFit(
            scheduler=chosen,
            label=draft.model.label,
            architecture=draft.traits.label,
            known=" or ".join(fitting),
        )


def _check_precision(draft: Draft) -> Iterator[Violation]:
    """The device computes in the dtype that was asked for; no other one is put in its place."""
    if draft.dtype in draft.dtypes:
        return
    cpu = draft.device == "cpu"
    yield DtypeNotSupported(
        label=draft.model.label,
        dtype=draft.dtype,
        reason=draft.precision.reason,
        device=_device(draft, cpu),
        known=" or ".join(draft.dtypes),
        other=", or use a GPU" if cpu and len(draft.dtypes) > 1 else "",
    )


def _device(draft: Draft, cpu: bool) -> str:
    if len(draft.dtypes) == 1:  # its weights are there for good
        return "its copy on this page"
    return "a CPU" if cpu else "this GPU"


def check_size(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Width and height are multiples of what the base needs, and not too many pixels."""
    multiple = draft.traits.size_multiple
    sides: list[int] = []
    for name in ("width", "height"):
        side = choices.number(name)
        if not isinstance(side, int):
            continue
        sides.append(side)
        below = side // multiple * multiple
        if SHORTEST_SIDE <= side <= LONGEST_SIDE and side != below:
            yield NotAMultiple(
                field=f"settings.{name}",
                name=name,
                value=side,
                multiple=multiple,
                below=below,
                above=below + multiple,
            )
    limit = draft.model.settings.max_pixels
    if len(sides) == 2 and limit is not None and sides[0] * sides[1] > limit:
        width, height = sides
        yield TooManyPixels(width=width, height=height, pixels=width * height, limit=limit)
