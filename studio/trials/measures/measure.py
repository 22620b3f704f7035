"""The protocol of a measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from PIL.Image import Image
from pydantic import Field

from studio.comparison.numbers import ClipIdentity
from studio.contract.base import Contract
from studio.trials.observations import PromptKind


class Beside(StrEnum):
    """A picture that a measure needs beside the one it is of; prompt and seed are the same."""

    BASE = "base"
    """The base's."""
    PLAIN = "plain"
    """The same arm's without the trigger words."""
    PLAIN_BASE = "plain_base"
    """The base's without the trigger words."""
    BEFORE = "before"
    """The checkpoint's before, at the same strength."""


class MeasureFacts(Contract):
    """What a measure is.

    Attributes:
        name: by which observations and goals name it.
        unit: of its numbers.
        better: whether more of it is wanted, on a prompt that the LoRA is for; "neither" where
            the number alone says nothing of good or bad.
        says, cannot: what it can and cannot say, a sentence each.
        source: where its formula comes from.
        of: whose pictures it is told of.
        models: what it uses of learnt weights, by SHA-256.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    unit: str
    better: Literal["more", "less", "neither"]
    says: str
    cannot: str
    source: str
    of: Literal["arms", "base"] = "arms"
    models: tuple[ClipIdentity, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture, and what it is measured against.

    Attributes:
        prompt: what was typed for it, trigger words that were added after it left out.
        plain: the same without any.
        image: the picture (RGB); ``beside``: those that the measure asked for, of one size.
    """

    kind: PromptKind
    prompt: str
    plain: str
    image: Image
    beside: Mapping[Beside, Image]


@dataclass(frozen=True, slots=True)
class MeasureReading:
    """A number and the base's number; None where it is a difference to the base already."""

    value: float
    base: float | None = None


class TrialMeasure(Protocol):
    """Reads pictures; the same pictures give the same numbers.

    Attributes:
        kinds: the prompts that it can be told of.
        needs: pictures that it is not told of without.
    """

    @property
    def facts(self) -> MeasureFacts: ...

    @property
    def kinds(self) -> frozenset[PromptKind]: ...

    @property
    def needs(self) -> frozenset[Beside]: ...

    def read(self, seen: Seen) -> MeasureReading | None:
        """None where there is no number for this picture."""
        ...
