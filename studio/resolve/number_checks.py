"""The rules of the settings: each has one value, within what the base takes."""

from collections.abc import Iterator

from studio.architecture.schedulers import ALL_SCHEDULER_NAMES, STEP_LIMITS, schedulers_for
from studio.contract.plan import FloatSetting, IntSetting, TextSetting
from studio.contract.violations import (
    ClipSkipNotSupported,
    DtypeNotSupported,
    GuidanceNotSupported,
    NotAMultiple,
    SchedulerDoesNotFit,
    SettingNotSupported,
    TooManyPixels,
    UnknownScheduler,
    Violation,
)
from studio.presets import MAX_CLIP_SKIP, MAX_STRENGTH
from studio.resolve.checks import in_range
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft

MAX_STEPS = 200
MAX_GUIDANCE = 50.0
SIZE_RANGE = (32, 8192)
SHORTEST_SEQUENCE = 8


def check_settings(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Every setting has one value, within its range, and the base takes it."""
    yield from choices.problems()
    yield from _check_taken(draft)
    if isinstance(choices.steps, IntSetting):
        named = choices.scheduler.value if isinstance(choices.scheduler, TextSetting) else ""
        high = STEP_LIMITS.get(named, MAX_STEPS)
        low = draft.pipeline.least_steps
        yield from in_range("settings.steps", "steps", choices.steps.value, low, high)
    if isinstance(choices.guidance_scale, FloatSetting):
        value = choices.guidance_scale.value
        yield from in_range("settings.guidance_scale", "guidance scale", value, 0, MAX_GUIDANCE)
        # A number that the transformer would only not read is told in a notice; here it would
        # promise a second pass that there is not.
        if draft.ignores_guidance and draft.pipeline.guidance.is_cfg and value > 1:
            yield GuidanceNotSupported(label=draft.model.label, value=value)
    if choices.true_cfg_scale is not None:
        value = choices.true_cfg_scale.value
        yield from in_range("settings.true_cfg_scale", "true CFG scale", value, 1, MAX_GUIDANCE)
    if isinstance(choices.clip_skip, IntSetting):
        layers = [encoder.layers for encoder in draft.traits.text_encoders if encoder.layers]
        high = min(MAX_CLIP_SKIP, *layers)
        yield from in_range("settings.clip_skip", "clip skip", choices.clip_skip.value, 1, high)
    for slug, strength in choices.strengths.items():
        field, name = f"loras.{slug}.strength", f"strength of {draft.label_of(slug)}"
        yield from in_range(field, name, strength.value, 0, MAX_STRENGTH)
    yield from _check_sequence(draft)
    yield from _check_scheduler(draft, choices)
    yield from _check_precision(draft)


def _check_taken(draft: Draft) -> Iterator[Violation]:
    """Nothing is asked for that the base's pipeline has no argument for."""
    asked, pipeline = draft.request.settings, draft.pipeline
    if asked.clip_skip is not None and draft.traits.clip_skip is None:
        yield ClipSkipNotSupported(architecture=draft.traits.label)
    if asked.true_cfg_scale is not None and not pipeline.true_cfg:
        yield SettingNotSupported(
            field="settings.true_cfg_scale", name="true CFG scale", label=draft.model.label
        )
    if asked.max_sequence_length is not None and pipeline.sequence is None:
        yield SettingNotSupported(
            field="settings.max_sequence_length",
            name="longest sequence",
            label=draft.model.label,
        )


def _check_sequence(draft: Draft) -> Iterator[Violation]:
    """No longer than the pipeline takes, nor than the preset says the model was trained for."""
    length, sequence = draft.sequence_length, draft.pipeline.sequence
    if length is None or sequence is None:
        return
    most = min(sequence.most, draft.model.settings.max_sequence_length or sequence.most)
    field = "settings.max_sequence_length"
    yield from in_range(field, "longest sequence", length.value, SHORTEST_SEQUENCE, most)


def _check_scheduler(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    chosen = choices.scheduler
    if not isinstance(chosen, TextSetting):
        return
    fitting = schedulers_for(draft.traits.flow_matching)
    known = ", ".join(fitting)
    if chosen.value not in ALL_SCHEDULER_NAMES:
        yield UnknownScheduler(scheduler=chosen.value, known=known)
    elif chosen.value not in fitting:
        yield SchedulerDoesNotFit(
            scheduler=chosen.value,
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
        device="a CPU" if cpu else "this GPU",
        known=" or ".join(draft.dtypes),
        other=", or use a GPU" if cpu else "",
    )


def check_size(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Width and height are in range, multiples of what the base needs, and not too many."""
    multiple, sides = draft.traits.size_multiple, []
    for name, side in (("width", choices.width), ("height", choices.height)):
        if not isinstance(side, IntSetting):
            continue
        sides.append(side.value)
        yield from in_range(f"settings.{name}", name, side.value, *SIZE_RANGE)
        below = side.value // multiple * multiple
        if SIZE_RANGE[0] <= side.value <= SIZE_RANGE[1] and side.value != below:
            yield NotAMultiple(
                field=f"settings.{name}",
                name=name,
                value=side.value,
                multiple=multiple,
                below=below,
                above=below + multiple,
            )
    limit = draft.model.settings.max_pixels
    if len(sides) == 2 and limit is not None and sides[0] * sides[1] > limit:
        width, height = sides
        yield TooManyPixels(width=width, height=height, pixels=width * height, limit=limit)
