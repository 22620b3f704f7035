"""Axes as people type them: ``strength=0.4..1.2/0.2``, or ``prompt=a cat|a dog``."""

import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase

from studio.comparison.axes import MAX_CELLS, NUMBERS, WHOLE_NUMBERS, Axis, AxisName, AxisValue


def separator(name: AxisName) -> str:
    """A comma, but for prompts, which hold commas themselves."""
    return "|" if name is AxisName.PROMPT else ","


def parse_values(name: AxisName, text: str) -> tuple[AxisValue, ...]:
    """The values in ``text``; what is not a finite number stays text, for the check to refuse by
    name. Of numbers, ``0.4..1.2/0.2`` is every value from 0.4 to 1.2 in steps of 0.2."""
    parts = [part.strip() for part in text.split(separator(name))]
    return tuple(value for part in parts if part for value in _several(name, part))


_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?:/(\d+(?:\.\d+)?))?")
"""``FROM..TO/STEP``; a step of 1 may be left out."""


def _several(name: AxisName, text: str) -> Iterator[AxisValue]:
    """The values of a range, at most one more than a grid takes, or the one that ``text`` is."""
    is_number = name in NUMBERS or name in WHOLE_NUMBERS
    found = _RANGE.fullmatch(text) if is_number else None
    start, stop, step = (Decimal(each or 1) for each in found.groups()) if found else (_NO,) * 3
    if not step or stop < start:
        yield _value(name, text)
        return
    count = min(int((stop - start) / step), MAX_CELLS)
    yield from (_value(name, str(start + step * n)) for n in range(count + 1))


_NO = Decimal(0)


def _value(name: AxisName, text: str) -> AxisValue:
    try:
        if name in WHOLE_NUMBERS:
            return int(text)
        if name not in NUMBERS:
            return text
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def matching(axis: Axis | None, slugs: Iterable[str]) -> Axis | None:
    """An axis of LoRAs with every slug that its patterns, such as ``myink-*``, match, in order of
    their numbers; at most one more than a grid takes. A pattern that matches none stays."""
    if axis is None or axis.name is not AxisName.LORA:
        return axis
    ordered = sorted(slugs, key=lambda slug: [int(n) for n in re.findall(r"\d+", slug)])
    values: list[AxisValue] = []
    for value in axis.values:
        is_pattern = isinstance(value, str) and any(sign in value for sign in "*?[")
        found = [slug for slug in ordered if fnmatchcase(slug, str(value))] if is_pattern else []
        values += found[: MAX_CELLS + 1] or [value]
    return axis.model_copy(update={"values": tuple(values)})


def parse_axis(text: str) -> Axis:
    """``name=values``.

    Raises:
        ValueError: there is no such axis, or no ``=``.
    """
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=VALUES.")
    try:
        axis = AxisName(name.strip())
    except ValueError as error:
        known = ", ".join(AxisName)
        raise ValueError(f"There is no axis {name.strip()!r}; there are {known}.") from error
    return Axis(name=axis, values=parse_values(axis, values))
