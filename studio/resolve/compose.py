"""Trigger words + prompt + negative prompt → the parts of the resolved prompt."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.contract.prompt import PartKind, PromptPart, kept_text


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
