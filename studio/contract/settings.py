"""Every setting of a generation, declared once.

The form, the command line, the checks, the contract's display, the audit, the infotext and the
comparisons read ``SETTINGS``. CONTRIBUTING.md says how to add a setting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from studio.architecture import PipelineTraits, Traits, clip_skip_in_words, guides
from studio.architecture.pipelines import STEP_LIMITS
from studio.contract.origin import FloatSetting, IntSetting, Origin, TextSetting

MAX_LORAS = 4
MAX_COUNT = 16
"""Images of one request."""
MAX_STRENGTH = 2.0
"""Of a LoRA whose preset says nothing else; the lowest is 0."""
WIDEST_STRENGTH = 10.0
"""What a preset may allow, on both sides of 0: sliders are made for such numbers."""
MAX_STEPS = 200
MAX_GUIDANCE = 50.0
MAX_CLIP_SKIP = 12
SHORTEST_SIDE, LONGEST_SIDE = 32, 8192
"""Pixels of an image's side."""
SHORTEST_SEQUENCE = 8
ETA_SCHEDULERS = ("DDIMScheduler",)
"""Those of the studio's schedulers whose ``step`` has an ``eta`` (diffusers 0.42); the pipelines
that run them hand it over, and drop it in silence for any other."""

Value = IntSetting | FloatSetting | TextSetting
Range = tuple[float, float]


class SettingKind(Enum):
    """What a setting's value is."""

    INT = "int"
    FLOAT = "float"
    SCHEDULER = "scheduler"
    """The name of a diffusers class."""
    DTYPE = "dtype"

    @property
    def is_number(self) -> bool:
        return self in (SettingKind.INT, SettingKind.FLOAT)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a setting's rules depend on.

    Attributes:
        scheduler: the class that will run; None where it is not known yet.
        sequence: the longest that the model's preset allows; None where it names none.
    """

    traits: Traits
    pipeline: PipelineTraits
    scheduler: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: its field in ``Overrides``, in ``PlanSettings`` and, unless ``receipt`` is False,
            in ``Receipt``; with dashes its option.
        label: in the form and in sentences.
        short: where the contract shows it.
        help: of its option.
        limits: the lowest and the highest number that the base takes.
        takes: whether the base takes it; None for what every base has.
        taken_by: what takes it, in words.
        of_lora: whether a LoRA's preset may ask for it, by the same name.
        of_model: the fields of a model preset's settings that give it, the first one first.
        default: who says it when nobody else does; None leaves it out.
        placeholder: in its empty field.
        note: what the value means to this pipeline, where the number alone does not tell.
        infotext: its key in the text that other tools read.
        receipt: whether it is reported by a field of its own name.
        unsaid: what the library does when the plan leaves it out.
        axis_since: of a number, the schema step with which comparisons came to vary it; None for
            those of the first step, which ``AxisName`` lists.
        fact: its name where plans are compared, if not its own with blanks.
    """

    name: str
    kind: SettingKind
    label: str
    short: str
    help: str
    limits: Callable[[Basis], Range] | None = None
    takes: Callable[[Basis], bool] | None = None
    taken_by: str = "a base that takes it"
    of_lora: bool = False
    of_model: tuple[str, ...] = ()
    default: Callable[[Basis], tuple[float, Origin] | None] = lambda _: None
    placeholder: str = "preset"
    note: Callable[[Any, PipelineTraits], str] = lambda _value, _pipeline: ""
    infotext: str | None = None
    receipt: bool = True
    unsaid: float | None = None
    axis_since: int | None = None
    fact: str = ""

    @property
    def field(self) -> str:
        """Its place in a request."""
        return f"settings.{self.name}"

    @property
    def words(self) -> str:
        """Its label within a sentence."""
        return self.label[0].lower() + self.label[1:]

    @property
    def compared_as(self) -> str:
        return self.fact or self.name.replace("_", " ")

    def is_taken(self, basis: Basis) -> bool:
        return self.takes is None or self.takes(basis)

    def value(self, value: float | str, origin: Origin, slug: str | None = None) -> Value:
        """``value`` with who said it."""
        if self.kind is SettingKind.FLOAT:
            # -0.0 becomes 0.0.
            return FloatSetting(value=float(value) + 0.0, origin=origin, slug=slug)
        if self.kind is SettingKind.INT:
            return IntSetting(value=int(value), origin=origin, slug=slug)
        return TextSetting(value=str(value), origin=origin, slug=slug)


def _steps(basis: Basis) -> Range:
    return basis.pipeline.least_steps, STEP_LIMITS.get(basis.scheduler or "", MAX_STEPS)


def _guidance_note(value: float, pipeline: PipelineTraits) -> str:
    theirs = pipeline.guidance.in_pipeline(value)
    return "" if theirs == value else f"{theirs} in diffusers"


def _clip_skips(basis: Basis) -> Range:
    layers = [encoder.layers for encoder in basis.traits.text_encoders if encoder.layers]
    return 1, min(MAX_CLIP_SKIP, *layers)


def _trained_clip_skip(basis: Basis) -> tuple[float, Origin] | None:
    trained = basis.traits.clip_skip
    return None if trained is None else (trained, Origin.CONVENTION)


def _sequences(basis: Basis) -> Range:
    takes = basis.pipeline.sequence
    most = takes.most if takes else SHORTEST_SEQUENCE
    return SHORTEST_SEQUENCE, min(most, basis.sequence or most)


def _usual_sequence(basis: Basis) -> tuple[float, Origin] | None:
    takes = basis.pipeline.sequence
    return None if takes is None else (takes.default, Origin.PIPELINE)


def _takes_eta(basis: Basis) -> bool:
    if basis.scheduler is None:
        return not basis.traits.flow_matching
    return basis.scheduler in ETA_SCHEDULERS


SETTINGS = (
    Setting(
        name="steps",
        kind=SettingKind.INT,
        label="Steps",
        short="Steps",
        help="Denoising steps.",
        limits=_steps,
        of_lora=True,
        of_model=("steps",),
        infotext="Steps",
    ),
    Setting(
        name="guidance_scale",
        kind=SettingKind.FLOAT,
        label="Guidance scale",
        short="Guidance",
        help="Guidance (CFG).",
        limits=lambda _: (0, MAX_GUIDANCE),
        of_lora=True,
        of_model=("guidance_scale",),
        note=_guidance_note,
        infotext="CFG scale",
        fact="guidance",
    ),
    Setting(
        name="true_cfg_scale",
        kind=SettingKind.FLOAT,
        label="True CFG scale",
        short="True CFG",
        help="FLUX.1's second guidance; 1 is off.",
        limits=lambda _: (1, MAX_GUIDANCE),
        takes=lambda basis: basis.pipeline.true_cfg,
        default=lambda _: (1.0, Origin.PIPELINE),
        placeholder="1, off",
        note=lambda value, _: "" if guides(value) else "off",
        infotext="True CFG scale",
        axis_since=4,
    ),
    Setting(
        name="clip_skip",
        kind=SettingKind.INT,
        label="Clip skip",
        short="Clip skip",
        help="1 is CLIP's last layer, 2 the one before.",
        limits=_clip_skips,
        takes=lambda basis: basis.traits.clip_skip is not None,
        taken_by="a base whose text encoder is CLIP",
        of_lora=True,
        default=_trained_clip_skip,
        note=lambda value, _: clip_skip_in_words(value),
        infotext="Clip skip",
    ),
    Setting(
        name="max_sequence_length",
        kind=SettingKind.INT,
        label="Max sequence length",
        short="Sequence",
        help="Tokens that T5, Qwen or Mistral read.",
        limits=_sequences,
        takes=lambda basis: basis.pipeline.sequence is not None,
        of_model=("max_sequence_length", "token_window"),
        default=_usual_sequence,
        placeholder="default",
        infotext="Max sequence length",
        axis_since=4,
    ),
    Setting(
        name="eta",
        kind=SettingKind.FLOAT,
        label="Eta",
        short="Eta",
        help="Noise that DDIM adds in each step, of the seed; 0, the usual, adds none.",
        limits=lambda _: (0, 1),
        takes=_takes_eta,
        taken_by=f"the scheduler {' or '.join(ETA_SCHEDULERS)}",
        placeholder="0, none",
        infotext="Eta DDIM",
        unsaid=0.0,
        axis_since=4,
    ),
    Setting(
        name="width",
        kind=SettingKind.INT,
        label="Width",
        short="Width",
        help="Pixels.",
        limits=lambda _: (SHORTEST_SIDE, LONGEST_SIDE),
        of_model=("default_width",),
        receipt=False,
        axis_since=4,
    ),
    Setting(
        name="height",
        kind=SettingKind.INT,
        label="Height",
        short="Height",
        help="Pixels.",
        limits=lambda _: (SHORTEST_SIDE, LONGEST_SIDE),
        of_model=("default_height",),
        receipt=False,
        axis_since=4,
    ),
    Setting(
        name="scheduler",
        kind=SettingKind.SCHEDULER,
        label="Scheduler",
        short="Scheduler",
        help="Such as EulerDiscreteScheduler, or Euler as other tools call it.",
        of_lora=True,
        of_model=("scheduler",),
        infotext="Sampler",
    ),
    Setting(
        name="precision",
        kind=SettingKind.DTYPE,
        label="Precision",
        short="Precision",
        help="What the base is computed in. DTYPE, else the preset, else what suits weights and "
        "memory, when not given.",
        receipt=False,
    ),
)
"""In the order of the form."""

BY_NAME = {setting.name: setting for setting in SETTINGS}
