"""The preset schema: the guide's fields verbatim, plus what the contract needs.

Ranges are the guide's: strength 0.0-2.0, clip skip 1-12, guidance 0 and up.
"""

import re
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from studio.air import Air
from studio.architecture import TRAITS, Architecture
from studio.contract import Contract

MAX_STRENGTH = 2.0
MAX_CLIP_SKIP = 12

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$", max_length=80)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, Field(min_length=1, max_length=120)]


def _inside(path: str) -> str:
    """Refuse a path that could leave the folder it is relative to."""
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or re.match(r"^[A-Za-z]:", path) or path.startswith("~"):
        raise ValueError(f"must be relative to MODEL_BASE_PATH, not {path!r}")
    if ".." in pure.parts or not pure.parts:
        raise ValueError(f"must name something inside MODEL_BASE_PATH, not {path!r}")
    return str(pure)


RelativePath = Annotated[str, AfterValidator(_inside)]


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

    huggingface: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    file: RelativePath | None = None
    embedded: RelativePath | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.huggingface is None) == (self.embedded is None):
            raise ValueError("name either huggingface (owner/name) or embedded, and only one")
        if self.file is not None and self.huggingface is None:
            raise ValueError("file belongs to a huggingface source")
        return self

    def describe(self) -> str:
        if self.embedded is not None:
            return "embedded"
        return f"huggingface:{self.huggingface}" + (f"/{self.file}" if self.file else "")


class ModelSettings(Contract):
    """Defaults and limits of a base model; None is "the card does not say"."""

    steps: int | None = Field(default=None, ge=1, le=200)
    guidance_scale: float | None = Field(default=None, ge=0, le=50)
    default_width: int | None = Field(default=None, ge=32, le=8192)
    default_height: int | None = Field(default=None, ge=32, le=8192)
    max_pixels: int | None = Field(default=None, ge=1024)
    dtype: str | None = Field(default=None, pattern=r"^(float32|float16|bfloat16)$")
    supports_negative_prompt: bool | None = None
    scheduler: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+Scheduler$")
    max_sequence_length: int | None = Field(default=None, ge=8, le=4096)
    token_window: int | None = Field(default=None, ge=8, le=4096)
    vram_usage: float | None = Field(default=None, ge=0)


class ModelPreset(Contract):
    """A base model."""

    slug: Slug
    label: Label
    path: RelativePath | None = None
    pipeline: str
    base_architecture: Architecture
    settings: ModelSettings = ModelSettings()
    source: Source | None = None
    revision: str | None = None
    sha256: Sha256 | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.path is None and self.source is None:
            raise ValueError("needs a path under MODEL_BASE_PATH, or a source")
        return self


class LoraSettings(Contract):
    """What a LoRA asks for; None leaves the model's value alone."""

    strength: float | None = Field(default=None, ge=0, le=MAX_STRENGTH)
    guidance_scale: float | None = Field(default=None, ge=0, le=50)
    clip_skip: int | None = Field(default=None, ge=1, le=MAX_CLIP_SKIP)


class LoraPreset(Contract):
    """A LoRA. ``prompt`` holds its trigger words, comma-separated, as the guide has it."""

    slug: Slug
    label: Label
    base_architecture: Architecture
    theme: str | None = None
    air: str | None = None
    path: RelativePath | None = None
    prompt: str = ""
    negative_prompt: str = ""
    settings: LoraSettings = LoraSettings()
    source: Source | None = None
    revision: str | None = None
    sha256: Sha256 | None = None
    trigger: TriggerRule
    notes: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.path is None and self.air is None and self.source is None:
            raise ValueError("needs a path under MODEL_BASE_PATH, an air, or a source")
        if self.trigger is TriggerRule.REQUIRED and not self.trigger_phrases:
            raise ValueError("trigger is 'required' but prompt holds no trigger words")
        if self.trigger is TriggerRule.NONE and self.trigger_phrases:
            raise ValueError("trigger is 'none' but prompt holds trigger words")
        self._check_air()
        return self

    def _check_air(self) -> None:
        if self.air is None:
            return
        ecosystem = Air.parse(self.air).ecosystem
        accepted = TRAITS[self.base_architecture].ecosystems
        if ecosystem not in accepted:
            raise ValueError(
                f"air says ecosystem {ecosystem!r}, base_architecture is "
                f"{self.base_architecture.value!r}, which takes "
                f"{', '.join(accepted) or 'no AIR ecosystem'}"
            )

    @property
    def trigger_phrases(self) -> tuple[str, ...]:
        """The comma-separated parts of ``prompt``, in order, without empty ones."""
        return tuple(part for raw in self.prompt.split(",") if (part := " ".join(raw.split())))


class Catalog:
    """Every preset by slug, with the look-ups a request needs.

    Immutable after construction; building it is linear in the number of presets.
    """

    def __init__(self, models: tuple[ModelPreset, ...], loras: tuple[LoraPreset, ...]) -> None:
        self.models = {model.slug: model for model in models}
        self.loras = {lora.slug: lora for lora in loras}
        by_architecture: dict[Architecture, list[LoraPreset]] = {a: [] for a in Architecture}
        for lora in loras:
            by_architecture[lora.base_architecture].append(lora)
        self._fitting = {key: tuple(value) for key, value in by_architecture.items()}
        self._phrases = {key: _phrase_index(value) for key, value in self._fitting.items()}

    def loras_for(self, architecture: Architecture) -> tuple[LoraPreset, ...]:
        """The LoRAs made for ``architecture``, in file order."""
        return self._fitting[architecture]

    def required_phrases(self, architecture: Architecture) -> dict[str, dict[str, str]]:
        """Required trigger phrases (lower case) by their first word → {phrase: slug}."""
        return self._phrases[architecture]


def first_word(phrase: str) -> str:
    """The leading run of word characters, lower case; the phrase itself if it has none."""
    match = re.search(r"\w+", phrase)
    return (match.group() if match else phrase).lower()


def _phrase_index(loras: tuple[LoraPreset, ...]) -> dict[str, dict[str, str]]:
    index: dict[str, dict[str, str]] = {}
    for lora in loras:
        if lora.trigger is TriggerRule.REQUIRED:
            for phrase in lora.trigger_phrases:
                index.setdefault(first_word(phrase), {}).setdefault(phrase.lower(), lora.slug)
    return index
