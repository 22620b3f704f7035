"""An axis as people type it: ``strength=0.4,0.7`` or, for prompts, ``prompt=a cat|a dog``."""

import math

from studio.comparison.axes import Axis, AxisName, AxisValue

_NUMBERS = (AxisName.STRENGTH, AxisName.GUIDANCE)
_WHOLE = (AxisName.SEED, AxisName.STEPS, AxisName.CLIP_SKIP)


def separator(name: AxisName) -> str:
    """A comma, but for prompts, which hold commas themselves."""
    return "|" if name is AxisName.PROMPT else ","


def parse_values(name: AxisName, text: str) -> tuple[AxisValue, ...]:
    """The values in ``text``; what is no finite number stays text, for the check to refuse by
    name."""
    parts = [part.strip() for part in text.split(separator(name))]
    return tuple(_value(name, part) for part in parts if part)


def _value(name: AxisName, text: str) -> AxisValue:
    try:
        if name in _WHOLE:
            return int(text)
        if name not in _NUMBERS:
            return text
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


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
