"""The model families, and what is true of every model of a family.

Sources: the pipelines of diffusers 0.42 (their classes, arguments and text encoders) and
the model cards; the CLIP window of 77 counts the start and end tokens.
"""

from dataclasses import dataclass
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


class Mode(StrEnum):
    """What an image is made from; always said, never inferred."""

    BASE = "base"
    LORA = "lora"
    LORA_WITH_TRIGGER = "lora_with_trigger"
    TRIGGER_ONLY = "trigger_only"
    REFERENCE_EDIT = "reference_edit"

    @property
    def label(self) -> str:
        return _MODE_LABELS[self]

    @property
    def applies_loras(self) -> bool:
        """Whether LoRA weights are switched on in this mode."""
        return self in (Mode.LORA, Mode.LORA_WITH_TRIGGER)

    @property
    def takes_trigger_words(self) -> bool:
        """Whether the chosen LoRAs' trigger words belong in the resolved prompt."""
        return self in (Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY)


_MODE_LABELS = {
    Mode.BASE: "Base",
    Mode.LORA: "LoRA without trigger",
    Mode.LORA_WITH_TRIGGER: "LoRA with trigger",
    Mode.TRIGGER_ONLY: "Trigger only",
    Mode.REFERENCE_EDIT: "Reference edit",
}


class GuidanceKind(StrEnum):
    """What the guidance scale means to the pipeline."""

    CFG = "cfg"
    """Classifier-free guidance: off at 1.0 and below."""
    DISTILLED = "distilled"
    """Read by the model as an input; no second pass."""
    TRUE_CFG = "true_cfg"
    """Classifier-free guidance through ``true_cfg_scale``."""
    CFG_FROM_ZERO = "cfg_from_zero"
    """``pos + g * (pos - neg)``: off at 0.0, so a CFG of 1.0 elsewhere is 0.0 here."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """One text encoder of an architecture.

    Attributes:
        component: its name in the pipeline, for example ``text_encoder_2``.
        tokenizer: the name of its tokenizer in the pipeline.
        window: the most tokens it reads, special tokens included.
        layers: transformer layers that clip skip can count back from.
    """

    component: str
    tokenizer: str
    window: int
    layers: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What holds for every model of an architecture.

    Attributes:
        pipeline: the diffusers class that runs it.
        denoiser: the pipeline component that LoRAs mostly change.
        size_multiple: width and height must be multiples of this, in pixels.
        ecosystems: the AIR ecosystems whose LoRAs belong here.
        runnable: whether this release's engine can run it.
    """

    architecture: Architecture
    label: str
    pipeline: str
    denoiser: str
    text_encoders: tuple[TextEncoder, ...]
    guidance: GuidanceKind
    negative_prompt: bool
    clip_skip: bool
    compel: bool
    size_multiple: int
    ecosystems: tuple[str, ...]
    modes: frozenset[Mode]
    runnable: bool


_LORA_MODES = frozenset({Mode.BASE, Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY})
_EDIT_MODES = _LORA_MODES | {Mode.REFERENCE_EDIT}


def _clip(component: str, layers: int) -> TextEncoder:
    return TextEncoder(component, component.replace("text_encoder", "tokenizer"), 77, layers)


TRAITS: dict[Architecture, Traits] = {
    Architecture.MINI: Traits(
        architecture=Architecture.MINI,
        label="Mini",
        pipeline="StableDiffusionPipeline",
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 3),),
        guidance=GuidanceKind.CFG,
        negative_prompt=True,
        clip_skip=True,
        compel=True,
        size_multiple=32,
        ecosystems=(),
        modes=_LORA_MODES,
        runnable=True,
    ),
    Architecture.SD15: Traits(
        architecture=Architecture.SD15,
        label="Stable Diffusion 1.5",
        pipeline="StableDiffusionPipeline",
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 12),),
        guidance=GuidanceKind.CFG,
        negative_prompt=True,
        clip_skip=True,
        compel=True,
        size_multiple=8,
        ecosystems=("sd1", "sd15"),
        modes=_LORA_MODES,
        runnable=True,
    ),
    Architecture.SDXL: Traits(
        architecture=Architecture.SDXL,
        label="SDXL",
        pipeline="StableDiffusionXLPipeline",
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 12), _clip("text_encoder_2", 32)),
        guidance=GuidanceKind.CFG,
        negative_prompt=True,
        clip_skip=True,
        compel=True,
        size_multiple=8,
        ecosystems=("sdxl", "sdxldistilled", "pony", "illustrious", "noobai"),
        modes=_LORA_MODES,
        runnable=False,
    ),
    Architecture.FLUX1: Traits(
        architecture=Architecture.FLUX1,
        label="FLUX.1",
        pipeline="FluxPipeline",
        denoiser="transformer",
        text_encoders=(
            _clip("text_encoder", 12),
            TextEncoder("text_encoder_2", "tokenizer_2", 512, 24),
        ),
        guidance=GuidanceKind.DISTILLED,
        negative_prompt=False,
        clip_skip=False,
        compel=False,
        size_multiple=16,
        ecosystems=("flux1", "fluxkrea", "flux1kontext"),
        modes=_EDIT_MODES,
        runnable=False,
    ),
    Architecture.FLUX2: Traits(
        architecture=Architecture.FLUX2,
        label="FLUX.2",
        pipeline="Flux2Pipeline",
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer", 512, 36),),
        guidance=GuidanceKind.DISTILLED,
        negative_prompt=False,
        clip_skip=False,
        compel=False,
        size_multiple=16,
        ecosystems=("flux2",),
        modes=_EDIT_MODES,
        runnable=False,
    ),
    Architecture.QWEN: Traits(
        architecture=Architecture.QWEN,
        label="Qwen-Image",
        pipeline="QwenImagePipeline",
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer", 512, 28),),
        guidance=GuidanceKind.TRUE_CFG,
        negative_prompt=True,
        clip_skip=False,
        compel=False,
        size_multiple=16,
        ecosystems=("qwen",),
        modes=_EDIT_MODES,
        runnable=False,
    ),
    Architecture.ZIMAGE: Traits(
        architecture=Architecture.ZIMAGE,
        label="Z-Image",
        pipeline="ZImagePipeline",
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer", 512, 36),),
        guidance=GuidanceKind.CFG_FROM_ZERO,
        negative_prompt=True,
        clip_skip=False,
        compel=False,
        size_multiple=16,
        ecosystems=("zimageturbo", "zimagebase"),
        modes=_LORA_MODES,
        runnable=False,
    ),
}


def traits_of(architecture: Architecture) -> Traits:
    return TRAITS[architecture]


def clip_skip_in_words(clip_skip: int) -> str:
    """The layer in words; CivitAI's and A1111's convention, 1 is the last layer."""
    if clip_skip == 1:
        return "last layer"
    if clip_skip == 2:
        return "the layer before the last"
    return f"{clip_skip - 1} layers before the last"
