"""The preset schema: the guide's fields verbatim, plus what the contract needs.

Ranges are the guide's: strength 0.0-2.0, clip skip 1-12, guidance 0 and up. Numbers and
true/false are taken as they are written: ``"0.7"`` in quotes is a text, and refused.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator
from pydantic.types import Strict

from studio.architecture import Architecture
from studio.contract import base
from studio.contract.base import Contract, Slug
from studio.contract.settings import (
    LONGEST_SIDE,
    MAX_CLIP_SKIP,
    MAX_GUIDANCE,
    MAX_STEPS,
    MAX_STRENGTH,
    SHORTEST_SEQUENCE,
    SHORTEST_SIDE,
    WIDEST_STRENGTH,
)
from studio.presets.rules import (
    check_air,
    check_checkpoint,
    check_flux2,
    check_no_pickle,
    check_pipeline,
    check_place,
    check_safetensors,
    identifies,
    inside,
    refuse,
    split_phrases,
)

DEFAULT_STRENGTH = 1.0
"""What a LoRA has whose preset says none."""


def _lower(value: object) -> object:
    """SHA-256 is often published in capitals; it is the same number."""
    return value.lower() if isinstance(value, str) else value


FileSha256 = Annotated[base.Sha256, BeforeValidator(_lower), AfterValidator(identifies)]
OneLine = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=120)]
Repository = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")
]
Variant = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=40)]
RelativePath = Annotated[str, AfterValidator(inside)]
SchedulerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+Scheduler$")]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Theme = Annotated[str, AfterValidator(lambda theme: theme.strip() or None)]


class TriggerRule(StrEnum):
    """What a LoRA's trigger words are to it."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class Source(Contract):
    """Where the weights come from when no AIR says it; exactly one of the two kinds.

    Attributes:
        huggingface: repository, ``owner/name``.
        file: the file inside that repository; None is the whole repository.
        embedded: path inside the studio's own ``presets`` folder.
    """

    huggingface: Repository | None = None
    file: RelativePath | None = None
    embedded: RelativePath | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.huggingface is None) == (self.embedded is None):
            raise refuse(
                "source",
                "source names both or neither of huggingface and embedded.",
                "Give huggingface: owner/name, or embedded: a path in the presets folder.",
            )
        if self.file is not None and self.huggingface is None:
            raise refuse(
                "source.file",
                "source.file belongs to a huggingface source.",
                "Leave it out, or add huggingface: owner/name.",
            )
        return self

    def describe(self) -> str:
        if self.embedded is not None:
            return "embedded"
        return f"huggingface:{self.huggingface}" + (f"/{self.file}" if self.file else "")


class ModelSettings(Contract):
    """Defaults and limits of a base model; None is "not known".

    Attributes:
        guidance_scale: in CivitAI's convention, as everywhere in presets.
        max_pixels: largest width times height.
        token_window: tokens the model's text encoder reads, special tokens included.
        vram_usage: MiB, as the guide's own presets have it.
    """

    steps: Whole | None = Field(default=None, ge=1, le=MAX_STEPS)
    guidance_scale: Number | None = Field(default=None, ge=0, le=MAX_GUIDANCE)
    default_width: Whole | None = Field(default=None, ge=SHORTEST_SIDE, le=LONGEST_SIDE)
    default_height: Whole | None = Field(default=None, ge=SHORTEST_SIDE, le=LONGEST_SIDE)
    max_pixels: Whole | None = Field(default=None, ge=1024, le=2**26)
    dtype: str | None = Field(default=None, pattern=r"^(float32|float16|bfloat16)$")
    supports_negative_prompt: StrictBool | None = None
    scheduler: SchedulerName | None = None
    max_sequence_length: Whole | None = Field(default=None, ge=SHORTEST_SEQUENCE, le=4096)
    token_window: Whole | None = Field(default=None, ge=SHORTEST_SEQUENCE, le=4096)
    vram_usage: Number | None = Field(default=None, ge=0)


class ModelPreset(Contract):
    """A base model. ``path`` is relative to MODEL_BASE_PATH: a folder, or one checkpoint file.

    Attributes:
        variant: of the folder's weights, for example ``fp16``; None is the plain ones.
        config: for a checkpoint, the folder (diffusers layout) of its configurations and
            tokenizers; None is the studio's own of the architecture.
        earlier: name → SHA-256 of weights that this slug had before, for pictures made with them.
        knows, backgrounds, reads: all that a small base can draw, the colours it can put behind
            it, and the other words it understands.
    """

    slug: Slug
    label: OneLine
    path: RelativePath | None = None
    pipeline: str
    base_architecture: Architecture
    settings: ModelSettings = ModelSettings()
    source: Source | None = None
    revision: OneLine | None = None
    variant: Variant | None = None
    config: RelativePath | None = None
    sha256: FileSha256 | None = None
    earlier: Mapping[OneLine, FileSha256] = {}
    knows: tuple[OneLine, ...] = ()
    backgrounds: tuple[OneLine, ...] = ()
    reads: tuple[OneLine, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_place("path", (self.path, self.source))
        check_no_pickle(self.path)
        check_checkpoint(self.single_file, self.variant, self.config)
        repository = self.source.huggingface if self.source is not None else None
        check_flux2(self.base_architecture, self.slug, self.label, self.path, repository)
        check_pipeline(self.base_architecture, self.pipeline)
        return self

    @property
    def single_file(self) -> bool:
        """Whether the weights are one checkpoint file."""
        return self.path is not None and self.path.lower().endswith(".safetensors")


class LoraSettings(Contract):
    """What a LoRA asks for; None leaves the model's value alone.

    Attributes:
        min_strength, max_strength: what it may be used at, where that is not 0 to 2: a slider
            is made for strengths below 0 too.
        steps, scheduler: of an accelerator, such as LCM, Lightning, Turbo or Hyper.
        first_step, last_step: between which it is on in the denoiser, counted from 1.
        parts: part of the base (``te``, ``mid``, …) → its strength there.
    """

    strength: Number | None = Field(default=None, ge=-WIDEST_STRENGTH, le=WIDEST_STRENGTH)
    min_strength: Number | None = Field(default=None, ge=-WIDEST_STRENGTH, le=0)
    max_strength: Number | None = Field(default=None, gt=0, le=WIDEST_STRENGTH)
    guidance_scale: Number | None = Field(default=None, ge=0, le=MAX_GUIDANCE)
    clip_skip: Whole | None = Field(default=None, ge=1, le=MAX_CLIP_SKIP)
    steps: Whole | None = Field(default=None, ge=1, le=MAX_STEPS)
    scheduler: SchedulerName | None = None
    first_step: Whole | None = Field(default=None, ge=1, le=MAX_STEPS)
    last_step: Whole | None = Field(default=None, ge=1, le=MAX_STEPS)
    parts: Mapping[str, Annotated[Number, Field(ge=-WIDEST_STRENGTH, le=WIDEST_STRENGTH)]] = {}

    @property
    def strengths(self) -> tuple[float, float]:
        """The lowest and the highest strength it may be used at."""
        low, high = self.min_strength, self.max_strength
        return 0.0 if low is None else low, MAX_STRENGTH if high is None else high

    @model_validator(mode="after")
    def _within(self) -> Self:
        low, high = self.strengths
        if self.strength is not None and not low <= self.strength <= high:
            raise refuse(
                "settings.strength",
                f"settings.strength is {self.strength:g}.",
                f"Write a number from {low} to {high}, or widen that with min_strength and "
                "max_strength.",
            )
        return self


class LoraPreset(Contract):
    """A LoRA. ``prompt`` holds its trigger words, comma-separated, as the guide has it.

    Attributes:
        alternatives: one of the trigger words is enough: the first is added where none is typed.
    """

    slug: Slug
    label: OneLine
    base_architecture: Architecture
    theme: Theme | None = None
    air: str | None = None
    path: RelativePath | None = None
    prompt: str = ""
    negative_prompt: str = ""
    settings: LoraSettings = LoraSettings()
    source: Source | None = None
    revision: OneLine | None = None
    sha256: FileSha256 | None = None
    earlier: Mapping[OneLine, FileSha256] = {}
    trigger: TriggerRule
    alternatives: bool = False
    notes: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_place("path", (self.path, self.air, self.source))
        check_safetensors("path", self.path)
        if self.source is not None:
            self._check_source(self.source)
        self._check_trigger()
        if self.air is not None:
            check_air(self.base_architecture, self.air)
        repository = self.source.huggingface if self.source is not None else None
        check_flux2(self.base_architecture, self.slug, self.label, self.path, repository)
        return self

    @staticmethod
    def _check_source(source: Source) -> None:
        if source.huggingface is not None and source.file is None:
            raise refuse(
                "source.file",
                "source.file is missing: a LoRA is one file of its repository.",
                "Add file: name.safetensors.",
            )
        check_safetensors("source.file", source.file)
        check_safetensors("source.embedded", source.embedded)

    def _check_trigger(self) -> None:
        if self.trigger is TriggerRule.REQUIRED and not self.trigger_phrases:
            raise refuse(
                "trigger",
                "trigger is 'required' but prompt holds no trigger words.",
                "Write the trigger words into prompt, or set trigger: none.",
            )
        if self.trigger is TriggerRule.NONE and self.trigger_phrases:
            raise refuse(
                "trigger",
                "trigger is 'none' but prompt holds trigger words.",
                "Set trigger to required or optional, or empty prompt.",
            )

    @property
    def usual_strength(self) -> float:
        """The strength of this LoRA where nobody asks for another."""
        said = self.settings.strength
        return DEFAULT_STRENGTH if said is None else said

    @property
    def trigger_phrases(self) -> tuple[str, ...]:
        """The comma-separated parts of ``prompt``, in order, without empty ones."""
        return split_phrases(self.prompt)


Preset = ModelPreset | LoraPreset
