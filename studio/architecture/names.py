"""The families of models, the modes a picture is made in, and what guidance can mean."""

from enum import StrEnum


class Architecture(StrEnum):
    """A family whose members share module names and widths, so that LoRAs fit."""

    MINI = "mini"
    SD15 = "sd15"
    SDXL = "sdxl"
    FLUX1 = "flux1"
    FLUX2 = "flux2"
    QWEN = "qwen"
    ZIMAGE = "zimage"
    SD3 = "sd3"

    __since__ = {"sd3": 2}  # noqa: RUF012  # schema steps of later values; see CONTRIBUTING.md


class Mode(StrEnum):
    """What an image is made from; always said, never inferred."""

    BASE = "base"
    LORA = "lora"
    LORA_WITH_TRIGGER = "lora_with_trigger"
    TRIGGER_ONLY = "trigger_only"
    REFERENCE_EDIT = "reference_edit"
    """Reference images are edited as the prompt says; LoRAs may take part and need not."""

    @property
    def label(self) -> str:
        return _MODE_LABELS[self]

    @property
    def applies_loras(self) -> bool:
        """Whether the chosen LoRAs' weights are switched on in this mode."""
        return self in (Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.REFERENCE_EDIT)

    @property
    def needs_loras(self) -> bool:
        """Whether there is no such picture without a chosen LoRA."""
        return self in (Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY)

    @property
    def takes_loras(self) -> bool:
        """Whether LoRAs can be chosen in this mode, for their weights or their words."""
        return self is not Mode.BASE

    @property
    def takes_trigger_words(self) -> bool:
        """Whether the chosen LoRAs' required trigger words belong in the resolved prompt."""
        return self in (Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY, Mode.REFERENCE_EDIT)

    @property
    def takes_optional_words(self) -> bool:
        """Whether optional trigger words are added too.

        A reference edit's prompt is an instruction, into which everyday words that a LoRA
        can do without are not put unasked.
        """
        return self in (Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY)


_MODE_LABELS = {
    Mode.BASE: "Base",
    Mode.LORA: "LoRA without trigger",
    Mode.LORA_WITH_TRIGGER: "LoRA with trigger",
    Mode.TRIGGER_ONLY: "Trigger only",
    Mode.REFERENCE_EDIT: "Reference edit",
}


def guides(scale: float | None) -> bool:
    """Whether a scale of classifier-free guidance brings a second pass: only above 1."""
    return scale is not None and scale > 1


class GuidanceKind(StrEnum):
    """What the plan's guidance scale means to the pipeline."""

    CFG = "cfg"
    """Classifier-free guidance: off at 1.0 and below."""
    DISTILLED = "distilled"
    """Read by the model as an input; no second pass."""
    TRUE_CFG = "true_cfg"
    """Classifier-free guidance through ``true_cfg_scale``: off at 1.0 and below. Above, the
    negative side is always encoded, an empty one as the empty text, because the pipeline
    switches guidance off where it is given none."""
    CFG_FROM_ZERO = "cfg_from_zero"
    """``pos + g * (pos - neg)``: off at 0.0, so the plan's number less 1 is the pipeline's."""

    @property
    def is_cfg(self) -> bool:
        """Whether there is a second pass against the negative side above 1.0."""
        return self is not GuidanceKind.DISTILLED

    def in_pipeline(self, guidance_scale: float) -> float:
        """The plan's (CivitAI's) number as the pipeline counts it.

        ``neg + c * (pos - neg)`` is ``pos + (c - 1) * (pos - neg)``.
        """
        if self is GuidanceKind.CFG_FROM_ZERO:
            return max(0.0, guidance_scale - 1.0)
        return guidance_scale
