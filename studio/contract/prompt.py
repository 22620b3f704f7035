"""The resolved prompt: the text each encoder gets, part by part, with a token ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from studio.contract.base import Contract

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """How one text encoder's tokenizer reads a text.

    Attributes:
        spans: text → the character span [start, end) of each token, special tokens left out.
        around: tokens that its window must hold beside a text: special ones, a template's.
        controls: texts that it reads as signals and not as words, such as ``<|im_end|>``.
    """

    spans: Callable[[str], Sequence[Span]]
    around: int
    controls: tuple[str, ...] = ()

    def __call__(self, text: str) -> Sequence[Span]:
        return self.spans(text)


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
    """What one text encoder reads of one side.

    Counted are the tokens of the text alone, as its tokenizer splits it without special
    tokens; neither those nor what a template puts around the text are counted, but the room
    they need is taken off ``limit``. The engine's ``EncodingReceipt`` counts likewise, and
    natively ``used`` must equal it.

    Attributes:
        limit: tokens that fit, None with Compel, which reads on in chunks.
        cut: tokens of the wanted text that are left out; of an encoder that only sums the
            text up, those that the encoder beside it reads alone.
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
