"""What a trial found out, one number a picture and measure: all that is said later rests on it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from studio.contract.base import Contract, Sha256, added
from studio.contract.request import FinerText, LoraChoice


class PromptKind(StrEnum):
    """What a prompt of a trial is there to show."""

    TRIGGER = "trigger"
    """Of the subject, with the trigger words: what the LoRA is for."""
    PLAIN = "plain"
    """The same without the trigger words: what changes here has leaked."""
    FAR = "far"
    """Of something else, without the trigger words: as above, and further away."""


class TrialArm(Contract):
    """What a trial chooses between: one checkpoint at one strength.

    Attributes:
        checkpoint: its name in this trial, ``1500``; unique there.
        step: where it stands on the axis: the steps that it was trained for (or the epochs,
            where no file of the run says steps; or its place from 1, where none says either).
        finer: strengths of parts and the steps in which it is on, where the trial varies them.
    """

    checkpoint: Annotated[str, Field(min_length=1, max_length=80)]
    step: Annotated[int, Field(ge=0)]
    strength: float
    finer: FinerText = added(since=5, default="")

    @property
    def acts(self) -> bool:
        """Whether it is on anywhere."""
        return self.strength != 0 or any(each.strength for each in self.choice("any").parts)

    def choice(self, slug: str) -> LoraChoice:
        """What is asked of the LoRA ``slug``."""
        plain = LoraChoice(slug=slug, strength=self.strength)
        return plain.with_finer(self.finer) if self.finer else plain


class Observation(Contract):
    """One measure of one picture.

    Attributes:
        prompt: the prompt's name in this trial, ``p1``; with ``seed`` it pairs the arms.
        measure: its name, ``effect``.
        value: in the measure's unit.
        base: the same measure of the base's picture of this prompt and seed; None where
            ``value`` is already a difference to it.
        picture: SHA-256 of the pixels that were measured, as the receipt has it.
        base_picture: the same of the base's picture; None where the measure needs none.
        duplicate_of: the pixels of an earlier picture of this arm and kind of prompt that looks
            almost the same; such observations are kept, and count once.
    """

    arm: TrialArm
    prompt: str
    kind: PromptKind
    seed: int
    measure: str
    value: float
    base: float | None = None
    picture: Sha256
    base_picture: Sha256 | None = None
    duplicate_of: Sha256 | None = None

    @property
    def pair(self) -> tuple[str, int]:
        """What it has in common with the other arms' observations: prompt and seed."""
        return self.prompt, self.seed

    @property
    def paired(self) -> float:
        """The difference to the base."""
        return self.value if self.base is None else self.value - self.base
