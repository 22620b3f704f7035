"""The model families, and what is true of every model of a family.

Sources: the pipelines of diffusers 0.42 (their text encoders and size checks) and the model
cards; the CLIP window of 77 counts the start and end tokens.
"""

from dataclasses import dataclass

from studio.architecture import pipelines
from studio.architecture.names import Architecture
from studio.architecture.pipelines import PipelineTraits


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """One text encoder of an architecture.

    Attributes:
        component: its name in the pipeline, for example ``text_encoder_2``.
        tokenizer: the name of its tokenizer in the pipeline.
        window: the most tokens it reads, special tokens included; None where the run's
            ``max_sequence_length`` says.
        layers: transformer layers that clip skip can count back from; None without clip skip.
        summary: it gives only a summary vector beside an encoder that reads on, so what
            exceeds its window is not lost.
        pooled: beside its words it gives a summary vector, of its first window alone.
    """

    component: str
    tokenizer: str
    window: int | None = None
    layers: int | None = None
    summary: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """What holds for every model of an architecture.

    Attributes:
        pipelines: the diffusers classes that run it, the usual one first.
        denoiser: the pipeline component that LoRAs mostly change.
        clip_skip: the one its models were trained with, where they have any.
        size_multiple: width and height must be multiples of this, in pixels.
        flow_matching: trained on straight paths, so that only flow-match schedulers fit.
        ecosystems: the AIR ecosystems whose LoRAs belong here.
        runnable: whether this release's engine can run it.
    """

    architecture: Architecture
    label: str
    pipelines: tuple[PipelineTraits, ...]
    denoiser: str
    text_encoders: tuple[TextEncoder, ...]
    clip_skip: int | None
    compel: bool
    size_multiple: int
    flow_matching: bool
    ecosystems: tuple[str, ...]
    runnable: bool

    @property
    def pipeline(self) -> str:
        """The class of a model of which nothing more is known."""
        return self.pipelines[0].name


def _clip(component: str, layers: int, summary: bool = False, pooled: bool = False) -> TextEncoder:
    tokenizer = component.replace("text_encoder", "tokenizer")
    return TextEncoder(component, tokenizer, 77, layers, summary, pooled)


TRAITS: dict[Architecture, Traits] = {
    Architecture.MINI: Traits(
        architecture=Architecture.MINI,
        label="Mini",
        pipelines=(pipelines.STABLE_DIFFUSION,),
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 3),),
        clip_skip=1,
        compel=True,
        size_multiple=32,
        flow_matching=False,
        ecosystems=(),
        runnable=True,
    ),
    Architecture.SD15: Traits(
        architecture=Architecture.SD15,
        label="Stable Diffusion 1.5",
        pipelines=(pipelines.STABLE_DIFFUSION,),
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 12),),
        clip_skip=1,
        compel=True,
        size_multiple=8,
        flow_matching=False,
        ecosystems=("sd1", "sd15"),
        runnable=True,
    ),
    Architecture.SDXL: Traits(
        architecture=Architecture.SDXL,
        label="SDXL",
        pipelines=(pipelines.SDXL,),
        denoiser="unet",
        text_encoders=(_clip("text_encoder", 12), _clip("text_encoder_2", 32, pooled=True)),
        clip_skip=2,
        compel=True,
        size_multiple=8,
        flow_matching=False,
        ecosystems=("sdxl", "sdxldistilled", "pony", "illustrious", "noobai"),
        runnable=True,
    ),
    Architecture.FLUX1: Traits(
        architecture=Architecture.FLUX1,
        label="FLUX.1",
        pipelines=(pipelines.FLUX, pipelines.FLUX_KONTEXT),
        denoiser="transformer",
        text_encoders=(
            _clip("text_encoder", 12, summary=True),
            TextEncoder("text_encoder_2", "tokenizer_2"),
        ),
        clip_skip=None,
        compel=False,
        size_multiple=16,
        flow_matching=True,
        ecosystems=("flux1", "fluxkrea", "flux1kontext"),
        runnable=True,
    ),
    Architecture.FLUX2: Traits(
        architecture=Architecture.FLUX2,
        label="FLUX.2",
        pipelines=(pipelines.FLUX2, pipelines.FLUX2_KLEIN),
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
        clip_skip=None,
        compel=False,
        size_multiple=16,
        flow_matching=True,
        ecosystems=("flux2",),
        runnable=True,
    ),
    Architecture.QWEN: Traits(
        architecture=Architecture.QWEN,
        label="Qwen-Image",
        pipelines=(
            pipelines.QWEN_IMAGE,
            pipelines.QWEN_IMAGE_EDIT,
            pipelines.QWEN_IMAGE_EDIT_PLUS,
        ),
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
        clip_skip=None,
        compel=False,
        size_multiple=16,
        flow_matching=True,
        ecosystems=("qwen",),
        runnable=True,
    ),
    Architecture.ZIMAGE: Traits(
        architecture=Architecture.ZIMAGE,
        label="Z-Image",
        pipelines=(pipelines.ZIMAGE,),
        denoiser="transformer",
        text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
        clip_skip=None,
        compel=False,
        size_multiple=16,
        flow_matching=True,
        ecosystems=("zimageturbo", "zimagebase"),
        runnable=True,
    ),
}

PIPELINES: dict[str, PipelineTraits] = {
    pipeline.name: pipeline for traits in TRAITS.values() for pipeline in traits.pipelines
}
"""Every diffusers class that the studio knows, by name."""


def traits_of(architecture: Architecture) -> Traits:
    return TRAITS[architecture]


def pipeline_traits(name: str) -> PipelineTraits:
    """The traits of a diffusers class, as ``plan.base.pipeline`` and presets name it.

    Raises:
        KeyError: the studio does not know the class; no preset passes with such a one.
    """
    return PIPELINES[name]


def clip_skip_in_words(clip_skip: int) -> str:
    """The layer in words; CivitAI's and A1111's convention, 1 is the last layer."""
    if clip_skip == 1:
        return "last layer"
    if clip_skip == 2:
        return "the layer before the last"
    return f"{clip_skip - 1} layers before the last"
