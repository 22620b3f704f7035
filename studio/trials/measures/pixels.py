"""Measures of the pixels alone: they need no model, and run everywhere."""

from __future__ import annotations

from studio.imaging.difference import mean_absolute, structure
from studio.trials.measures.measure import Beside, MeasureFacts, MeasureReading, Seen, TrialMeasure
from studio.trials.observations import PromptKind

EVERY = frozenset(PromptKind)
_PIXELS = "Mean absolute difference of the RGB values, as a share of their range."
_SHARE = "share of the range"


class PixelEffect:
    """How far a picture is from the base's."""

    facts = MeasureFacts(
        name="effect",
        unit=_SHARE,
        better="neither",
        says="How far the checkpoint moves the picture away from the base's.",
        cannot="What differs, and which picture is better. On prompts without the trigger words "
        "it is the leak.",
        source=_PIXELS,
    )
    kinds = EVERY
    needs = frozenset({Beside.BASE})

    def read(self, seen: Seen) -> MeasureReading | None:
        return MeasureReading(mean_absolute(seen.image, seen.beside[Beside.BASE]))


def _with_and_without(seen: Seen) -> tuple[float, float]:
    """The effect with the trigger words, and without them."""
    beside = seen.beside
    called = mean_absolute(seen.image, beside[Beside.BASE])
    return called, mean_absolute(beside[Beside.PLAIN], beside[Beside.PLAIN_BASE])


class Contrast:
    """How much of the effect comes with the trigger words alone."""

    facts = MeasureFacts(
        name="contrast",
        unit=_SHARE,
        better="more",
        says="The effect with the trigger words less the effect without them, prompt and seed "
        "being the same: what the words call and nothing else.",
        cannot="Whether what they call is what was trained.",
        source=_PIXELS,
    )
    kinds = frozenset({PromptKind.TRIGGER})
    needs = frozenset({Beside.BASE, Beside.PLAIN, Beside.PLAIN_BASE})

    def read(self, seen: Seen) -> MeasureReading | None:
        called, leaked = _with_and_without(seen)
        return MeasureReading(called - leaked)


class Leak:
    """How much of the effect is there without the trigger words."""

    facts = MeasureFacts(
        name="leak",
        unit="ratio",
        better="less",
        says="The effect without the trigger words over the effect with them, prompt and seed "
        "being the same: 0 is none of it, 1 all of it.",
        cannot="How far a picture moved: a small effect that leaks whole has a leak of 1.",
        source=_PIXELS,
    )
    kinds = frozenset({PromptKind.TRIGGER})
    needs = Contrast.needs

    def read(self, seen: Seen) -> MeasureReading | None:
        """None where the trigger words change nothing."""
        called, leaked = _with_and_without(seen)
        return MeasureReading(leaked / called) if called else None


class Structure:
    """Whether the layout stayed the base's."""

    facts = MeasureFacts(
        name="structure",
        unit="SSIM",
        better="neither",
        says="How much of the base's local structure is kept, 1 being all of it.",
        cannot="Whether the style or the subject is the one wanted.",
        source="Wang, Bovik, Sheikh and Simoncelli 2004, as scikit-image computes it.",
    )
    kinds = EVERY
    needs = frozenset({Beside.BASE})

    def read(self, seen: Seen) -> MeasureReading | None:
        """None where a side is shorter than SSIM's window."""
        value = structure(seen.image, seen.beside[Beside.BASE])
        return None if value is None else MeasureReading(value)


class StepChange:
    """How far the picture moved since the checkpoint before."""

    facts = MeasureFacts(
        name="step_change",
        unit=_SHARE,
        better="neither",
        says="How far the picture is from that of the checkpoint before, at the same strength.",
        cannot="Whether it moved to the better.",
        source=_PIXELS,
    )
    kinds = EVERY
    needs = frozenset({Beside.BEFORE})

    def read(self, seen: Seen) -> MeasureReading | None:
        return MeasureReading(mean_absolute(seen.image, seen.beside[Beside.BEFORE]))


class TriggerAlone:
    """What the trigger words change in the base, without the LoRA."""

    facts = MeasureFacts(
        name="trigger_alone",
        unit=_SHARE,
        better="less",
        says="How far the words alone move the base's picture, without any LoRA.",
        cannot="Anything of a checkpoint: it is the same for all of them.",
        source=_PIXELS,
        of="base",
    )
    kinds = frozenset({PromptKind.TRIGGER})
    needs = frozenset({Beside.PLAIN_BASE})

    def read(self, seen: Seen) -> MeasureReading | None:
        return MeasureReading(mean_absolute(seen.image, seen.beside[Beside.PLAIN_BASE]))


def pixel_measures() -> tuple[TrialMeasure, ...]:
    """Those that every trial has."""
    return (PixelEffect(), Contrast(), Leak(), Structure(), StepChange(), TriggerAlone())
