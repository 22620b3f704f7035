"""Trigger words + prompt + negative prompt → the text the encoder gets, with a ledger."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from studio.contract import Contract

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


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A trigger phrase found in a text, at [start, end), with the LoRAs it belongs to."""

    phrase: str
    start: int
    end: int
    slugs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Words a LoRA adds to one side, with the LoRAs that want them."""

    phrase: str
    slugs: tuple[str, ...]


def merge_wanted(wanted: Sequence[tuple[str, str]]) -> tuple[Wanted, ...]:
    """(phrase, slug) pairs → each phrase once, in order of first mention."""
    merged: dict[str, tuple[str, list[str]]] = {}
    for phrase, slug in wanted:
        merged.setdefault(phrase.lower(), (phrase, []))[1].append(slug)
    return tuple(Wanted(phrase, tuple(slugs)) for phrase, slugs in merged.values())


def find_phrases(text: str, wanted: Sequence[Wanted]) -> tuple[Occurrence, ...]:
    """Where the phrases stand in ``text``: whole words, any case, longest first, no overlap."""
    found: list[Occurrence] = []
    taken = bytearray(len(text))
    for item in sorted(wanted, key=lambda item: -len(item.phrase)):
        for match in _phrase_pattern(item.phrase).finditer(text):
            start, end = match.span()
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Occurrence(item.phrase, start, end, item.slugs))
    return tuple(sorted(found, key=lambda item: item.start))


def _phrase_pattern(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def compose(
    typed: str, wanted: Sequence[Wanted], kind: PartKind, welcome: Sequence[Wanted] = ()
) -> tuple[PromptPart, ...]:
    """The typed text with the wanted phrases marked where they stand, the others appended.

    A phrase that is there already is neither moved nor repeated: its place can matter.

    Args:
        welcome: phrases that are marked where they stand, and not appended.
    """
    text = typed.strip()
    found = find_phrases(text, [*wanted, *welcome])
    parts: list[PromptPart] = []
    position = 0
    for occurrence in found:
        if occurrence.start > position:
            parts.append(PromptPart(text=text[position : occurrence.start], kind=PartKind.TYPED))
        words = text[occurrence.start : occurrence.end]
        parts.append(PromptPart(text=words, kind=kind, slugs=occurrence.slugs))
        position = occurrence.end
    if position < len(text):
        parts.append(PromptPart(text=text[position:], kind=PartKind.TYPED))
    present = {occurrence.phrase for occurrence in found}
    for item in wanted:
        if item.phrase not in present:
            parts.extend(_appended(parts, item, kind))
    return tuple(parts)


def _appended(before: Sequence[PromptPart], item: Wanted, kind: PartKind) -> list[PromptPart]:
    part = PromptPart(text=item.phrase, kind=kind, slugs=item.slugs)
    if not before:
        return [part]
    glue = " " if before[-1].text.rstrip().endswith(",") else ", "
    return [PromptPart(text=glue, kind=PartKind.GLUE), part]


def fit_to_window(
    parts: tuple[PromptPart, ...], fits: Callable[[str], bool]
) -> tuple[PromptPart, ...] | None:
    """Cut typed words from the end until the kept text fits; None where nothing helps.

    Words of LoRAs are never cut. ``fits`` must hold for every text shorter than one that
    fits, so that the longest one is found by bisection.
    """
    if fits(kept_text(parts)):
        return parts
    words = [
        (index, match.start())
        for index, part in enumerate(parts)
        if part.kind is PartKind.TYPED
        for match in re.finditer(r"\s*\S+", part.text)
    ]
    if not words or not fits(kept_text(_cut_from(parts, *words[0]))):
        return None
    low, high = 0, len(words)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(kept_text(_cut_from(parts, *words[middle]))):
            low = middle
        else:
            high = middle
    return _cut_from(parts, *words[low])


def _cut_from(parts: Sequence[PromptPart], index: int, offset: int) -> tuple[PromptPart, ...]:
    result: list[PromptPart] = []
    for position, part in enumerate(parts):
        if part.kind is not PartKind.TYPED or position < index:
            if _would_touch(result, part):
                result.append(PromptPart(text=" ", kind=PartKind.GLUE))
            result.append(part)
        elif position > index:
            result.append(part.model_copy(update={"cut": True}))
        else:
            kept, cut = part.text[:offset], part.text[offset:]
            result += [part.model_copy(update={"text": kept})] if kept else []
            result.append(part.model_copy(update={"text": cut, "cut": True}))
    return tuple(result)


def _would_touch(before: Sequence[PromptPart], part: PromptPart) -> bool:
    """Whether the cut has left ``part`` without a blank to what is kept before it."""
    kept = kept_text(before)
    cut_between = bool(before) and before[-1].cut
    return cut_between and part.kind is not PartKind.GLUE and bool(kept) and not kept[-1].isspace()


_A1111_WEIGHT = re.compile(r"\(([^()]+):\s*(\d+(?:\.\d+)?)\)")
_COMPEL_WEIGHT = re.compile(
    r"\)\s*(?:\d+(?:\.\d+)?|[+-]+)|(?<=\w)(?:\+{2,}|-{2,}|[+-](?=$|[\s,.;)]))"
)
_COMPEL_CALL = re.compile(r"\)\s*\.(?:and|blend)\s*\(")
_WHOLE_CALL = re.compile(
    r'\((?P<prompts>\s*"(?:[^"\\]|\\.)*"(?:\s*,\s*"(?:[^"\\]|\\.)*")*\s*)\)'
    r"\s*\.(?P<call>and|blend)\s*\((?P<weights>[^()]*)\)"
)
_ZERO_WEIGHT = re.compile(r"\(([^()]*)\)\s*0(?:\.0*)?(?![\d.])")
_COMPEL_WITHOUT_EFFECT = re.compile(r"\.swap\s*\(|\bwithLora\s*\(")
_LORA_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^>]*>", re.IGNORECASE)


def a1111_weights(text: str) -> tuple[tuple[str, str], ...]:
    """``(word:1.3)`` as A1111 writes it → (as found, as Compel writes it)."""
    return tuple(
        (match.group(), f"({match.group(1)}){match.group(2)}")
        for match in _A1111_WEIGHT.finditer(text)
    )


def has_compel_weights(text: str) -> bool:
    """Whether the text uses ``word++`` or ``(words)1.3``."""
    return bool(_COMPEL_WEIGHT.search(text) or _COMPEL_CALL.search(text))


def has_compel_call(text: str) -> bool:
    """Whether the text ends its prompts with ``.and()`` or ``.blend()``."""
    return bool(_COMPEL_CALL.search(text))


def lora_tags(text: str) -> tuple[str, ...]:
    """``<lora:name:weight>`` and its kin, which no encoder understands."""
    return tuple(match.group() for match in _LORA_TAG.finditer(text))


def compel_words(text: str) -> str:
    """The words Compel hands to the encoder: weights, brackets and quotes are its syntax.

    Equal to ``text`` exactly where the text has no syntax. With ``.blend()`` and ``.and()``
    the encoder reads each prompt on its own, which one text cannot say.
    """
    bare = _COMPEL_WEIGHT.sub(lambda match: ")" if match.group().startswith(")") else "", text)
    return re.sub(r'\\([()"])', r"\1", _without_pairs(bare))


def _without_pairs(text: str) -> str:
    """Matched brackets and quotes become blanks; one without its partner is a plain mark."""
    characters = list(text)
    brackets: list[int] = []
    quote: int | None = None
    for place in (match.start() for match in re.finditer(r'(?<!\\)[()"]', text)):
        opened: int | None = None
        if text[place] == "(":
            brackets.append(place)
        elif text[place] == ")":
            opened = brackets.pop() if brackets else None
        elif quote is None:
            quote = place
        else:
            opened, quote = quote, None
        if opened is not None:
            characters[opened] = characters[place] = " "
    return "".join(characters)


def dropped_by_call(text: str) -> str | None:
    """Why Compel would not read all of a text with ``.blend()`` or ``.and()``; None if it would.

    Compel stops reading at the end of the call, and wants a weight for each prompt.
    """
    if not _COMPEL_CALL.search(text):
        return None
    whole = _WHOLE_CALL.fullmatch(text.strip())
    if whole is None:
        return "reads nothing before the prompts in quotes and nothing after the call"
    prompts = len(re.findall(r'"(?:[^"\\]|\\.)*"', whole["prompts"]))
    weights = len([part for part in whole["weights"].split(",") if part.strip()])
    if weights != prompts and (weights or whole["call"] == "blend"):
        return f"wants {prompts} weights for {prompts} prompts, and gets {weights}"
    return None


def zero_weighted(text: str) -> tuple[str, ...]:
    """The words that Compel's weight 0 takes out: ``(words)0``."""
    return tuple(match.group(1) for match in _ZERO_WEIGHT.finditer(text))


def syntax_without_effect(text: str) -> tuple[str, ...]:
    """Compel's ``.swap()`` and ``withLora()``: parsed, and then meant for nobody."""
    return tuple(match.group() + ")" for match in _COMPEL_WITHOUT_EFFECT.finditer(text))
