"""Trigger words + prompt + negative prompt → the parts of the resolved prompt."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.contract.prompt import PartKind, PromptPart, kept_text
from studio.presets.rules import as_characters
from studio.resolve.compel_syntax import as_compel_reads, most_open_brackets


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
    """Where the phrases stand in ``text``, with or without a backslash before their brackets and
    signs: whole words, any case, longest first, no overlap."""
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
    words = r"\s+".join("".join(map(_spellings, word)) for word in phrase.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _spellings(character: str) -> str:
    """A pattern for ``character`` as people and Compel write it."""
    blank = " ?" if character in "+-" else ""
    return (
        blank
        + (r"\\?" if as_characters(f"\\{character}") == character else "")
        + re.escape(character)
    )


def spell(characters: str, compel: bool) -> str:
    """How an encoder is told to read ``characters`` as such. What cannot be told stands as it is;
    the plan refuses it."""
    return (as_compel_reads(characters) or characters) if compel else characters


def compose(
    typed: str,
    wanted: Sequence[Wanted],
    kind: PartKind,
    welcome: Sequence[Wanted] = (),
    compel: bool = False,
) -> tuple[PromptPart, ...]:
    """The typed text with the wanted phrases marked where they stand, the others appended.

    A phrase that is there already is neither moved nor repeated: its place can matter. It is
    written as the encoder reads it as its characters, however it was typed.

    Args:
        welcome: phrases that are marked where they stand, and not appended.
        compel: whether Compel reads the text.
    """
    text = typed.strip()
    parts: list[PromptPart] = []
    position, present = 0, set()
    for occurrence in find_phrases(text, [*wanted, *welcome]):
        before, words = text[: occurrence.start], text[occurrence.start : occurrence.end]
        spelled = spell(as_characters(words), compel)
        if compel and len(spelled.split()) > len(words.split()) and most_open_brackets(before):
            continue  # a sign by itself is none of Compel's inside its brackets
        if occurrence.start > position:
            parts.append(PromptPart(text=text[position : occurrence.start], kind=PartKind.TYPED))
        parts.append(PromptPart(text=spelled, kind=kind, slugs=occurrence.slugs))
        position = occurrence.end
        present.add(occurrence.phrase)
    if position < len(text):
        parts.append(PromptPart(text=text[position:], kind=PartKind.TYPED))
    for item in wanted:
        if item.phrase not in present:
            parts.extend(_appended(parts, item, kind, compel))
    return tuple(parts)


def _appended(
    before: Sequence[PromptPart], item: Wanted, kind: PartKind, compel: bool
) -> list[PromptPart]:
    part = PromptPart(text=spell(item.phrase, compel), kind=kind, slugs=item.slugs)
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
