"""The run plan: exactly what will happen, decided before anything runs."""

from functools import cached_property
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from studio.architecture import PIPELINES, Architecture, Mode, guides
from studio.contract.base import (
    Contract,
    Count,
    FileIdentity,
    Sha256,
    Slug,
    Versioned,
    added,
    fingerprint,
    says_nothing,
)
from studio.contract.origin import FloatSetting, IntSetting, Precision, TextSetting
from studio.contract.placement import Placement
from studio.contract.prompt import ResolvedPrompt
from studio.contract.request import PartName, PromptEncoder, ReferenceImage, finer_words


def _known(name: str) -> str:
    if name not in PIPELINES:
        raise ValueError("the studio does not know this pipeline")
    return name


PipelineName = Annotated[str, AfterValidator(_known)]
"""A diffusers class that the studio has traits of."""


class BaseIdentity(Contract):
    """The base as the contract knows it.

    Attributes:
        source: ``embedded``, ``huggingface:owner/name`` or ``local``.
        sha256: one hash over the canonical JSON of ``files``.
    """

    slug: Slug
    label: str
    architecture: Architecture
    pipeline: PipelineName
    source: str
    revision: str | None
    sha256: Sha256
    files: tuple[FileIdentity, ...]


class LoraPart(Contract):
    """A part of the base in which a LoRA has a strength of its own.

    Attributes:
        modules: how many of those that the file targets are in it.
    """

    part: PartName
    strength: FloatSetting
    modules: Count


class LoraUse(Contract):
    """One LoRA whose weights are applied.

    Attributes:
        strength: in all modules that are in none of ``parts``.
        first_step, last_step: between which it is on in the denoiser; None is from the first, to
            the last of the run's.
        modules: component → modules the file targets, all of which must be applied.
        waived: names of the file's layers and tensors that have no place in the base and
            are left out with the user's consent; exactly these, and nothing else.
    """

    slug: Slug
    label: str
    architecture: Architecture
    source: str
    sha256: Sha256
    size: Count
    strength: FloatSetting
    modules: dict[str, int]
    waived: tuple[str, ...] = Field(default=(), exclude_if=says_nothing)
    parts: tuple[LoraPart, ...] = added(since=4, default=())
    first_step: IntSetting | None = added(since=4)
    last_step: IntSetting | None = added(since=4)

    def span(self, steps: int) -> tuple[int, int]:
        """The first and the last of ``steps`` in which it is on in the denoiser."""
        first = 1 if self.first_step is None else self.first_step.value
        last = steps if self.last_step is None else min(steps, self.last_step.value)
        return first, last

    @property
    def strengths(self) -> tuple[float, ...]:
        """Every strength that at least one module has; that of the whole comes first."""
        apart = sum(each.modules for each in self.parts)
        whole = (self.strength.value,) if apart < sum(self.modules.values()) else ()
        return whole + tuple(each.strength.value for each in self.parts if each.modules)

    @property
    def finer(self) -> str:
        """What there is besides its one strength, as it is typed."""
        parts = ((each.part, each.strength.value) for each in self.parts)
        first, last = (None if x is None else x.value for x in (self.first_step, self.last_step))
        return finer_words(parts, first, last)

    @property
    def acts(self) -> bool:
        """Whether it is on anywhere; else the pixels are the base's."""
        return any(self.strengths)


class TriggerUse(Contract):
    """What the plan does with one LoRA's trigger words in this mode."""

    slug: Slug
    label: str
    words: tuple[str, ...]
    present: bool


class PlanSettings(Contract):
    """Every number of the run with its origin.

    Attributes:
        guidance_scale: in the preset's (CivitAI's) convention; ``GuidanceKind`` says what
            the pipeline makes of it.
        true_cfg_scale: None but for pipelines that have it beside ``guidance_scale``; 1.0
            is off.
        clip_skip: None where the architecture has none.
        max_sequence_length: tokens of the text encoder that has no fixed window, whatever
            stands around the prompt included; None where there is no such encoder.
        width, height: pixels.
        dtype: what the base is computed in; who said it stands in ``precision``.
        precision: the same with its origin; None in records written before it was asked for.
        vae_tiling: whether a large picture is decoded in tiles, which changes pixels.
        eta: noise that the scheduler adds in each step, 0 to 1; None is none.
    """

    steps: IntSetting
    guidance_scale: FloatSetting
    true_cfg_scale: FloatSetting | None = Field(default=None, exclude_if=says_nothing)
    clip_skip: IntSetting | None
    width: IntSetting
    height: IntSetting
    scheduler: TextSetting
    max_sequence_length: IntSetting | None = Field(default=None, exclude_if=says_nothing)
    dtype: str
    precision: Precision | None = Field(default=None, exclude_if=says_nothing)
    vae_tiling: bool = Field(default=False, exclude_if=says_nothing)
    eta: FloatSetting | None = added(since=2)


class Notice(Contract):
    """A fact that changes nothing, said before the run."""

    code: str
    field: str
    text: str


OWN_LIBRARY = "lora-studio"
"""The library of a plan whose version is the studio's own."""


class Library(Contract):
    """A library whose version can change the pixels."""

    name: str
    version: str


class WorkerClass(Contract):
    """What workers have to have in common so that a plan gives the same picture on each of them;
    with the plan's ``libraries``, which are the class's too.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        hardware: in words, with what of it can change the last bits, as in receipts.
        dtypes: those that it computes in.
    """

    device: str
    hardware: str
    dtypes: tuple[str, ...]

    def key(self, libraries: tuple[Library, ...]) -> str:
        """The fingerprint of the class of workers with these libraries."""
        versions = [each.model_dump(mode="json") for each in libraries]
        return fingerprint({"class": self.model_dump(mode="json"), "libraries": versions})


class RunPlan(Versioned):
    """Everything a run is; equal requests give equal plans.

    ``loras`` is sorted by slug, so the order in which they were chosen changes nothing;
    ``references`` stand in the order the pipeline gets them.

    Attributes:
        unmarked: whether the pictures go without the mark that says a model made them.
        worker_class: of the workers that may run it; None where it runs in the studio itself.
    """

    base: BaseIdentity
    mode: Mode
    loras: tuple[LoraUse, ...]
    references: tuple[ReferenceImage, ...] = Field(default=(), exclude_if=says_nothing)
    triggers: tuple[TriggerUse, ...]
    prompt: ResolvedPrompt
    prompt_encoder: PromptEncoder
    settings: PlanSettings
    seed: int
    count: Count
    libraries: tuple[Library, ...]
    placement: Placement | None = Field(default=None, exclude_if=says_nothing)
    unmarked: bool = added(since=2, default=False)
    worker_class: WorkerClass | None = added(since=3)
    notices: tuple[Notice, ...]

    @property
    def step_ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last steps between which the same LoRAs are on: one, if they always are."""
        steps = self.settings.steps.value
        spans = [use.span(steps) for use in self.loras]
        starts = {1, *(first for first, _ in spans), *(last + 1 for _, last in spans)}
        edges = [*sorted(each for each in starts if 1 <= each <= steps), steps + 1]
        return tuple((one, other - 1) for one, other in pairwise(edges))

    @property
    def class_key(self) -> str | None:
        """The fingerprint of the class of workers that it was resolved for."""
        return self.worker_class.key(self.libraries) if self.worker_class else None

    @property
    def release(self) -> str | None:
        """The studio's own version when the plan was made."""
        return next((each.version for each in self.libraries if each.name == OWN_LIBRARY), None)

    @property
    def has_cfg(self) -> bool:
        """Whether ``guidance_scale`` brings a second pass against the negative side."""
        kind = PIPELINES[self.base.pipeline].guidance
        return kind.is_cfg and guides(self.settings.guidance_scale.value)

    @property
    def has_true_cfg(self) -> bool:
        """Whether ``true_cfg_scale`` does."""
        scale = self.settings.true_cfg_scale
        return scale is not None and guides(scale.value)

    @property
    def is_guided(self) -> bool:
        """Whether each step is computed with and without the prompt."""
        return self.has_cfg or self.has_true_cfg

    @property
    def decoding(self) -> str:
        """How the VAE decodes, in words."""
        slicing = self.placement is not None and self.placement.vae_slicing
        whole = "in tiles" if self.settings.vae_tiling else "whole"
        return f"{whole}, one by one" if slicing else whole

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the plan's canonical JSON, without what changes no pixel: its notices,
        how the weights are placed in memory, and why they have the dtype they have."""
        said = self.model_dump(
            mode="json",
            exclude={"notices": True, "placement": True, "settings": {"precision": True}},
        )
        return fingerprint(said)
