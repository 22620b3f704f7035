"""What a picture's own text says, in one form for every tool that wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from studio.architecture import TEXT_ENCODERS
from studio.contract.request import PartStrength

MAX_JSON = 4 * 2**20
"""Characters of the longest JSON text that is read; real graphs stay below 1 MB."""
MOST_LORAS = 64


@dataclass(frozen=True, slots=True)
class SaidWeights:
    """A base or a LoRA as a text names it.

    Attributes:
        name: as written; a file name, a title or a slug.
        hash: hexadecimal digits, lower case: a SHA-256, its first 10 digits (AutoV2), or the
            first 12 of the tensors' own (AutoV3); None where the text gives none.
        strength: None for a base, and where the text gives none.
        parts: of the base, where it is another one.
        civitai_version: its model version there; None where the text does not say.
    """

    name: str
    hash: str | None = None
    strength: float | None = None
    civitai_version: int | None = None
    parts: tuple[PartStrength, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What one picture says; what it does not say, or says unreadably, is None.

    Attributes:
        tool: who wrote it, in words.
        sampler: the sampling method as the tool names it.
        left: what the text says and a request cannot, one sentence each.
    """

    tool: str
    prompt: str = ""
    negative_prompt: str = ""
    base: SaidWeights | None = None
    loras: tuple[SaidWeights, ...] = ()
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    clip_skip: int | None = None
    width: int | None = None
    height: int | None = None
    sampler: str | None = None
    left: tuple[str, ...] = ()


def text_encoders(strength: float | None, whole: float | None) -> tuple[PartStrength, ...]:
    """The strength of the text encoders, where it is another one than the whole's."""
    if strength is None or strength == whole:
        return ()
    return (PartStrength(part=TEXT_ENCODERS.name, strength=strength),)


def text(value: Any) -> str:
    """``value`` if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """A whole number, also one written as text or as 7.0; anything else is None."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def number(value: Any) -> float | None:
    """A finite number, also one written as text; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > 40:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def hash_of(value: Any) -> str | None:
    """A hash in lower case, without what some tools put before it (``0x``, ``sha256:``)."""
    digits = text(value).strip().lower().removeprefix("0x").removeprefix("sha256:")
    known = 8 <= len(digits) <= 64 and not set(digits) - set("0123456789abcdef")
    return digits if known else None


def entries(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a JSON list; nothing where it is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
