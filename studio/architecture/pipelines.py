"""What each diffusers pipeline class takes; an architecture can have several classes.

Read from the classes of diffusers 0.42: the arguments of ``__call__``, what ``check_inputs``
refuses or only warns of, and how ``encode_prompt`` fills the encoder's window.
"""

from dataclasses import dataclass

from studio.architecture.names import GuidanceKind, Mode

LORA_MODES = frozenset({Mode.BASE, Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY})
ALL_MODES = LORA_MODES | {Mode.REFERENCE_EDIT}
EDIT_ALONE = frozenset({Mode.REFERENCE_EDIT})


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


SCHEDULER_NAMES = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LCMScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
"""For models that learned to predict noise (Stable Diffusion, SDXL)."""

FLOW_SCHEDULER_NAMES = ("FlowMatchEulerDiscreteScheduler",)
"""For models that learned straight paths (FLUX, Qwen-Image, Z-Image).

Their pipelines hand over ``sigmas`` and ``mu``, which FlowMatchHeun does not take; FlowMatchLCM
adds noise that no seed of the run controls.
"""

ALL_SCHEDULER_NAMES = (*SCHEDULER_NAMES, *FLOW_SCHEDULER_NAMES)

STEP_LIMITS = {"LCMScheduler": 50}
"""Most steps of a scheduler that has a limit: LCM was distilled over 50."""


def schedulers_for(flow_matching: bool) -> tuple[str, ...]:
    """The schedulers that fit a model, by how it was trained."""
    return FLOW_SCHEDULER_NAMES if flow_matching else SCHEDULER_NAMES


SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "LCMScheduler": "LCM",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
"""diffusers' class → A1111's and CivitAI's name. Names with a noise schedule behind them, such as
"DPM++ 2M Karras", are none of these: the same class samples otherwise with it."""

_OTHERS = {
    "euler_ancestral": "Euler a",
    "euler_a": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "uni_pc": "UniPC",
}
"""Names of ComfyUI and InvokeAI, where they are not A1111's in small letters."""


def scheduler_named(name: str, flow_matching: bool) -> str | None:
    """The class that ``name`` means for such a model: its own name, with or without
    ``Scheduler`` and in any case, or another tool's name for it; None where it is none."""
    wanted = " ".join(name.casefold().split())
    wanted = _OTHERS.get(wanted, wanted).casefold()
    for known in (*schedulers_for(flow_matching), *ALL_SCHEDULER_NAMES):
        short = known.removesuffix("Scheduler")
        if wanted in (known.casefold(), short.casefold(), SAMPLERS[known].casefold()):
            return known
    return None
