"""Trigger words + prompt + negative prompt → the text the encoder gets, with a ledger."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from studio.contract import Contract
from studio.presets import LoraPreset

Span = tuple[int, int]
TokenCounter = Callable[[str], Sequence[Span]]
"""Text → the character span [start, end) of each token, special tokens left out."""


class Side(StrEnum):
    PROMPT = "prompt"
    NEGATIVE = "negative"


class PartKind(StrEnum):
    """Where a stretch of the resolved text comes from."""

    TYPED = "typed"
    TRIGGER = "trigger"
    NEGATIVE = "negative"
    GLUE = "glue"
    """The comma and blank between parts."""


class PromptPart(Contract):
    """A stretch of text; the parts that are not ``cut``, joined, are what is encoded.

    Attributes:
        slugs: the LoRAs whose words these are; empty for typed text.
        cut: the native window has no room for it, and the encoder never sees it.
    """

    text: str
    kind: PartKind
    slugs: tuple[str, ...] = ()
    cut: bool = False


class TokenLedger(Contract):
    """What one text encoder reads of one side; special tokens are not counted.

    Attributes:
        limit: tokens that fit, None with Compel, which reads on in chunks.
        cut: tokens of the wanted text that are left out.
    """

    encoder: str
    side: Side
    used: int
    limit: int | None
    cut: int


class ResolvedPrompt(Contract):
    """Both sides as typed, as resolved, and how they are made up."""

    typed: str
    negative_typed: str
    parts: tuple[PromptPart, ...]
    negative_parts: tuple[PromptPart, ...]
    ledger: tuple[TokenLedger, ...]

    @property
    def text(self) -> str:
        """The prompt the encoders get."""
        return kept_text(self.parts)

    @property
    def negative_text(self) -> str:
        """The negative prompt the encoders get."""
        return kept_text(self.negative_parts)


def kept_text(parts: Sequence[PromptPart]) -> str:
    return "".join(part.text for part in parts if not part.cut)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A trigger phrase found in a text, at [start, end), with the LoRAs it belongs to."""

    phrase: str
    start: int
    end: int
    slugs: tuple[str, ...]
