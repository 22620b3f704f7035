"""What each diffusers pipeline class takes; an architecture can have several classes.

Read from the classes of diffusers 0.42: the arguments of ``__call__``, what ``check_inputs``
refuses or only warns of, and how ``encode_prompt`` fills the encoder's window.
"""

from dataclasses import dataclass

from studio.architecture.names import GuidanceKind, Mode

_LORA_MODES = frozenset({Mode.BASE, Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY})
_ALL_MODES = _LORA_MODES | {Mode.REFERENCE_EDIT}
_EDIT_ALONE = frozenset({Mode.REFERENCE_EDIT})


@dataclass(frozen=True, slots=True)
class SequenceLength:
    """``max_sequence_length``: the pipeline's own default, and the most it takes."""

    default: int
    most: int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A template of the pipeline's own around the prompt.

    What stands before the prompt is taken off again once it is encoded, so the window holds
    the prompt and what stands ``after`` it.
    """

    after: str


@dataclass(frozen=True, slots=True)
class Chat:
    """The tokenizer's own chat template around the prompt; the window holds all of it.

    Attributes:
        system: a message before the user's, or none.
        thinking: what the template's ``enable_thinking`` is; None is not given.
        answer: whether the template opens the assistant's turn.
    """

    system: str | None = None
    thinking: bool | None = None
    answer: bool = True


@dataclass(frozen=True, slots=True)
class PipelineTraits:
    """What holds for every model that one diffusers class runs.

    Attributes:
        name: the class.
        guidance: what the plan's ``guidance_scale`` is to it.
        negative_prompt: whether it takes one as text.
        true_cfg: whether ``true_cfg_scale`` is an argument beside ``guidance_scale``; its
            negative prompt then works only where that is above 1.
        sequence: None where each encoder's window is fixed, as CLIP's is.
        frame: what stands around the prompt in the window; None is special tokens alone.
        max_references: most reference images, 0 where it takes none.
        reference_sizes: (width, height) in pixels; a reference is scaled to the one nearest
            to it in shape, in this order where two are. Empty where it keeps its own size.
        least_steps: Qwen-Image's schedule is stretched towards its end, and divides by
            nothing if one step is all.
    """

    name: str
    guidance: GuidanceKind
    negative_prompt: bool
    modes: frozenset[Mode]
    true_cfg: bool = False
    sequence: SequenceLength | None = None
    frame: Wrapped | Chat | None = None
    max_references: int = 0
    reference_sizes: tuple[tuple[int, int], ...] = ()
    least_steps: int = 1


_QWEN_AFTER = "<|im_end|>\n<|im_start|>assistant\n"
FLUX2_SYSTEM_MESSAGE = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing "
    "on object relationships, object\nattribution and actions without speculation."
)
"""diffusers.pipelines.flux2.system_messages.SYSTEM_MESSAGE."""

STABLE_DIFFUSION = PipelineTraits(
    "StableDiffusionPipeline", GuidanceKind.CFG, negative_prompt=True, modes=_LORA_MODES
)
SDXL = PipelineTraits(
    "StableDiffusionXLPipeline", GuidanceKind.CFG, negative_prompt=True, modes=_LORA_MODES
)
FLUX = PipelineTraits(
    "FluxPipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=True,
    modes=_LORA_MODES,
    true_cfg=True,
    sequence=SequenceLength(512, 512),
)
_KONTEXT_SIZES = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248),
    (880, 1184), (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832),
    (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip
"""diffusers' PREFERRED_KONTEXT_RESOLUTIONS: what Kontext was trained with."""

FLUX_KONTEXT = PipelineTraits(
    "FluxKontextPipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=True,
    modes=_ALL_MODES,
    true_cfg=True,
    sequence=SequenceLength(512, 512),
    max_references=1,
    reference_sizes=_KONTEXT_SIZES,
)
FLUX2 = PipelineTraits(
    "Flux2Pipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=False,
    modes=_ALL_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(system=FLUX2_SYSTEM_MESSAGE, answer=False),
    max_references=4,
)
FLUX2_KLEIN = PipelineTraits(
    "Flux2KleinPipeline",
    GuidanceKind.CFG,
    negative_prompt=False,
    modes=_ALL_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(thinking=False),
    max_references=4,
)
QWEN_IMAGE = PipelineTraits(
    "QwenImagePipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=_LORA_MODES,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_QWEN_AFTER),
    least_steps=2,
)
QWEN_IMAGE_EDIT = PipelineTraits(
    "QwenImageEditPipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=_EDIT_ALONE,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_QWEN_AFTER),
    least_steps=2,
    max_references=1,
)
QWEN_IMAGE_EDIT_PLUS = PipelineTraits(
    "QwenImageEditPlusPipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=_EDIT_ALONE,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_QWEN_AFTER),
    least_steps=2,
    max_references=3,
)
ZIMAGE = PipelineTraits(
    "ZImagePipeline",
    GuidanceKind.CFG_FROM_ZERO,
    negative_prompt=True,
    modes=_LORA_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(thinking=True),
)
