"""``<lora:name:strength>`` and its kin, as A1111's family of tools writes them into prompts."""

import re
from typing import NamedTuple

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]{0,400})>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d{0,18})?|\.\d{1,18})")


class PromptTag(NamedTuple):
    """One tag of a prompt.

    Attributes:
        kind: ``lora``, ``lyco`` or ``hypernet``.
        strength: None where it is no number; 1 where it says none, as A1111 takes it.
        more: what else it says, for the text encoder, blocks or steps.
    """

    written: str
    kind: str
    name: str
    strength: float | None
    more: tuple[str, ...]


def prompt_tags(prompt: str) -> tuple[PromptTag, ...]:
    """Every tag, in the order of the text."""
    return tuple(map(_read, _TAG.finditer(prompt)))


def without_tags(prompt: str) -> str:
    """``prompt`` without them; the commas around them stay, as A1111 leaves them."""
    return _TAG.sub("", prompt)


def _read(match: re.Match[str]) -> PromptTag:
    name, *said = (part.strip() for part in match[2].split(":"))
    strength = 1.0 if not said else _number(said[0])
    return PromptTag(match[0], match[1].lower(), name, strength, tuple(said[1:]))


def _number(text: str) -> float | None:
    """The number that ``text`` is."""
    return float(text) if _NUMBER.fullmatch(text) else None
