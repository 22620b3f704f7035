"""What a trial is to find out, and every picture that it can ask for.

A trial's cells are its checkpoints at its strengths, on its prompts and seeds, and for each
prompt and seed the base, against which they are measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from studio.contract.base import Contract, Count, Sha256, Slug, added, fingerprint
from studio.contract.request import FinerText, Overrides
from studio.trials.halving import RacingRule
from studio.trials.observations import PromptKind, TrialArm

FORMAT = 2
"""Of a trial's files; a later one adds to it and reads this one. The second came with the finer
strength, and only a trial that varies it is of it."""
BASE_ARM = TrialArm(checkpoint="base", step=0, strength=0.0)
"""Stands for the base alone."""
WORDS = "{trigger}"
"""Where a prompt wants the trigger words; after its end where it does not say."""


CONTROLS = 2
"""Pictures that only show that the trial can be trusted."""


class CellRole(StrEnum):
    """Why a picture is made."""

    BASE = "base"
    ARM = "arm"
    SCALE_ZERO = "scale_zero"
    """A checkpoint switched on at strength 0: it must equal the base, bit for bit."""
    BASE_AGAIN = "base_again"
    """The first base picture once more after all others: it must be the same."""


class TrialPrompt(Contract):
    """A prompt as typed.

    Attributes:
        name: ``p1``; a prompt with the trigger words has the name of the one without them.
        text: without trigger words; those of a ``trigger`` prompt are put in when it runs.
    """

    name: Annotated[str, Field(pattern=r"^[pf]\d{1,4}$")]
    kind: PromptKind
    text: str


class TrialCheckpoint(Contract):
    """A file of the run.

    Attributes:
        name, step: as in ``TrialArm``.
        slug: by which the library knows the file.
        path: where it lies on this machine, which no report repeats.
        same_as: the name of an earlier checkpoint with the very same tensors: it shares that
            one's pictures.
        inert: its update is nothing at all: its pictures are the base's.
    """

    name: str
    step: Count
    slug: Slug
    path: str
    sha256: Sha256
    same_as: str | None = None
    inert: bool = False

    @property
    def file(self) -> str:
        """Its name."""
        return PurePath(self.path).name


class PictureFolder(Contract):
    """Pictures that somebody named: where they lie, and the SHA-256 of each file, sorted."""

    folder: str
    files: tuple[Sha256, ...]


class TrialDesign(Contract):
    """Everything that decides a trial.

    Attributes:
        base: slug of the base's preset.
        run: the training run's name.
        finer: what is said besides each strength, in turn; the empty one is as the LoRA's preset
            has it.
        trigger: the trigger words, comma-separated; empty where there are none.
        rule: by which seeds are added, with its random seed.
        images: how many there may be in all; what lies in the gallery already counts too.
        minutes: after which no further picture is begun; None for as long as it takes.
        plugins: measures from outside the studio, ``module:Class``.
        clip_sha256: of the CLIP model's weights; None where none was set.
    """

    format: Literal[1, 2] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    created_at: str
    base: Slug
    run: str
    checkpoints: Annotated[tuple[TrialCheckpoint, ...], Field(min_length=1)]
    strengths: Annotated[tuple[float, ...], Field(min_length=1)]
    prompts: Annotated[tuple[TrialPrompt, ...], Field(min_length=1)]
    rule: RacingRule
    trigger: str = ""
    negative: str = ""
    settings: Overrides = Overrides()
    images: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
    plugins: tuple[str, ...] = ()
    holdout: PictureFolder | None = None
    training: PictureFolder | None = None
    clip_sha256: Sha256 | None = None
    finer: Annotated[tuple[FinerText, ...], Field(min_length=1)] = added(since=5, default=("",))

    @model_validator(mode="after")
    def _of_its_format(self) -> Self:
        if "format" not in self.model_fields_set:
            object.__setattr__(self, "format", 1 if self.finer == ("",) else FORMAT)
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its canonical JSON."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def own(self) -> tuple[TrialCheckpoint, ...]:
        """The checkpoints that have pictures of their own."""
        return tuple(e for e in self.checkpoints if e.same_as is None and not e.inert)

    @property
    def arms(self) -> tuple[TrialArm, ...]:
        """Those with pictures of their own, by checkpoint and then strength."""
        return tuple(arm for each in self.own for arm in self.arms_of(each))

    def arms_of(self, checkpoint: TrialCheckpoint) -> tuple[TrialArm, ...]:
        """A checkpoint at every strength and every finer one."""
        return tuple(
            TrialArm(checkpoint=checkpoint.name, step=checkpoint.step, strength=value, finer=finer)
            for value in self.strengths
            for finer in self.finer
        )

    def checkpoint(self, name: str) -> TrialCheckpoint:
        """
        Raises:
            KeyError: it has none of this name.
        """
        found = {each.name: each for each in self.checkpoints}
        return found[name]

    def prompt(self, name: str, kind: PromptKind) -> TrialPrompt:
        """
        Raises:
            KeyError: it has none.
        """
        found = {(each.name, each.kind): each for each in self.prompts}
        return found[name, kind]


class TrialCell(Contract):
    """One picture of a trial."""

    role: CellRole
    arm: TrialArm
    prompt: str
    kind: PromptKind
    seed: Count

    @property
    def key(self) -> str:
        """Unique in its trial: ``arm 1500@0.8 trigger p1 7``."""
        said = (f"{self.arm.checkpoint}@{self.arm.strength!r}", self.arm.finer)
        arm = ":".join(filter(None, said))
        return f"{self.role} {arm} {self.kind} {self.prompt} {self.seed}"

    @property
    def place(self) -> tuple[PromptKind, str, int]:
        """What it has in common with the cells that it is measured against."""
        return self.kind, self.prompt, self.seed

    def beside(self, **changes: object) -> "TrialCell":
        """The cell that differs in these fields."""
        return self.model_copy(update=changes)

    @property
    def of_base(self) -> "TrialCell":
        return self.beside(role=CellRole.BASE, arm=BASE_ARM)


def cells(
    design: TrialDesign, arms: Iterable[TrialArm], seeds: Sequence[int]
) -> Iterator[TrialCell]:
    """The pictures of these arms on these seeds, in the order in which they cost least: the base
    first, then checkpoint by checkpoint and strength by strength, so that each is switched on
    once and each prompt encoded once for it."""
    for arm in (BASE_ARM, *arms):
        role = CellRole.BASE if arm == BASE_ARM else CellRole.ARM
        for each in design.prompts:
            for seed in seeds:
                yield TrialCell(role=role, arm=arm, prompt=each.name, kind=each.kind, seed=seed)


def controls(design: TrialDesign) -> tuple[TrialCell, TrialCell]:
    """The first own checkpoint at strength 0, and the base once more."""
    first, prompt = design.own[0], design.prompts[0]
    off = TrialArm(checkpoint=first.name, step=first.step, strength=0.0)
    zero = TrialCell(
        role=CellRole.SCALE_ZERO,
        arm=off,
        prompt=prompt.name,
        kind=prompt.kind,
        seed=design.rule.seeds[0],
    )
    return zero, zero.beside(role=CellRole.BASE_AGAIN, arm=BASE_ARM)


def cost(design: TrialDesign, arms: int, seeds: int) -> int:
    """Pictures of so many arms on so many seeds, their base's with them."""
    return (arms + 1) * seeds * len(design.prompts)


def most_pictures(design: TrialDesign) -> int:
    """As many as there will be at most; exactly so, where every arm gets every seed."""
    most = cost(design, len(design.arms), len(design.rule.seeds)) + CONTROLS
    return most if design.images is None else min(most, design.images)


def prompts_of(
    subject: Sequence[str], far: Sequence[str], trigger: str
) -> tuple[TrialPrompt, ...]:
    """The list of prompts: each of the subject with and without the trigger words; then those of
    something else. A LoRA that has no trigger words is for every prompt of the subject."""
    found = []
    for number, text in enumerate(subject, start=1):
        name = f"p{number}"
        if trigger:
            found.append(TrialPrompt(name=name, kind=PromptKind.PLAIN, text=text))
        found.append(TrialPrompt(name=name, kind=PromptKind.TRIGGER, text=text))
    found += [
        TrialPrompt(name=f"f{number}", kind=PromptKind.FAR, text=text)
        for number, text in enumerate(far, start=1)
    ]
    return tuple(found)


def text_of(prompt: TrialPrompt, trigger: str) -> str:
    """What is typed for it: the trigger words where the prompt marks a place for them, and
    nothing there in a prompt without them. Where it marks none they are added when it is
    resolved."""
    if WORDS not in prompt.text:
        return prompt.text
    if prompt.kind is PromptKind.TRIGGER:
        return prompt.text.replace(WORDS, trigger)
    parts = []
    for part in prompt.text.split(","):
        without = " ".join(part.replace(WORDS, " ").split())
        if WORDS not in part:
            parts.append(part)
        elif without:
            parts.append(f" {without}")
    return ",".join(parts).strip()
