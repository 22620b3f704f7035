"""The letters of a contact sheet: what its font can write, and lines that fit.

The font is the one that Pillow carries, so that a sheet looks the same on every machine; it
has the letters of English and little more.
"""

from collections.abc import Iterator
from functools import cache

from PIL import ImageFont

_NOT_A_CHARACTER = "\U0010ffff"
"""Drawn as the box that stands for every character a font lacks."""

_LEADING = 1.4
"""A line's height, in its font size."""

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@cache
def font(size: int) -> Font:
    """Of ``size`` pixels."""
    return ImageFont.load_default(size)


def leading(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * _LEADING)


def can_write(text: str) -> bool:
    """Whether every character of ``text`` has a shape of its own."""
    return all(character.isspace() or _has(character) for character in set(text))


@cache
def _has(character: str) -> bool:
    return _shape(character) != _shape(_NOT_A_CHARACTER)


def _shape(character: str) -> bytes:
    return bytes(font(16).getmask(character))


def fits(text: str, room: int, size: int) -> bool:
    return font(size).getlength(text) <= room


def wrap(text: str, room: int, size: int, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of at most ``room`` pixels; where it needs more, the
    last of them ends with an ellipsis."""
    lines: list[str] = []
    for piece in _pieces(text, room, size):
        joined = f"{lines[-1]} {piece}" if lines else piece
        if lines and fits(joined, room, size):
            lines[-1] = joined
        elif len(lines) == most:
            return [*lines[:-1], _cut(lines[-1], room, size)]
        else:
            lines.append(piece)
    return lines


def _pieces(text: str, room: int, size: int) -> Iterator[str]:
    """The words of ``text``; one that is wider than a line, in parts."""
    for word in text.split():
        while not fits(word, room, size):
            end = next(n for n in range(len(word), 0, -1) if n == 1 or fits(word[:n], room, size))
            if end == len(word):
                break
            yield word[:end]
            word = word[end:]
        yield word


def _cut(line: str, room: int, size: int) -> str:
    while line and not fits(f"{line}…", room, size):
        line = line[:-1].rstrip()
    return f"{line}…"
