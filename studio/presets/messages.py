"""What pydantic found wrong in an entry, in the studio's own sentences."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from studio.architecture import Architecture
from studio.contract.settings import (
    LONGEST_SIDE,
    MAX_CLIP_SKIP,
    MAX_GUIDANCE,
    MAX_STEPS,
    MAX_STRENGTH,
    SHORTEST_SEQUENCE,
    SHORTEST_SIDE,
    WIDEST_STRENGTH,
)
from studio.presets.rules import clip
from studio.presets.schema import (
    LoraPreset,
    LoraSettings,
    ModelPreset,
    ModelSettings,
    Preset,
    Source,
    TriggerRule,
)

_TEXT = "a text"
_LINE = "one line of 1 to 120 characters"
_INSIDE = "a relative path without '..' that stays inside its folder"
_TOKENS = f"a whole number from {SHORTEST_SEQUENCE} to 4096"
_SIDE = f"a whole number of pixels from {SHORTEST_SIDE} to {LONGEST_SIDE}"
_GUIDANCE = f"a number from 0 to {MAX_GUIDANCE:g}"

EXPECTED = {
    "slug": "lower-case words joined by - _ or ., for example pen-ink, 80 characters at most",
    "label": _LINE,
    "base_architecture": f"one of {', '.join(Architecture)}",
    "theme": _TEXT,
    "air": "an AIR such as urn:air:sdxl:lora:civitai:1234@5678",
    "path": _INSIDE,
    "pipeline": "the name of a diffusers pipeline class",
    "prompt": "the trigger words, separated by commas",
    "negative_prompt": _TEXT,
    "trigger": f"one of {', '.join(TriggerRule)}",
    "alternatives": "true or false",
    "revision": _LINE,
    "variant": "letters and digits, for example fp16",
    "config": _INSIDE,
    "sha256": "64 hexadecimal digits",
    "earlier": "names and the SHA-256 of what was there, one per line, indented below it",
    "knows": "a list of the things that the base can draw",
    "backgrounds": "a list of the colours that it can put behind them",
    "reads": "a list of the other words that it understands",
    "notes": _TEXT,
    "source": "huggingface and file, or embedded, indented below it",
    "source.huggingface": "a repository, owner/name",
    "source.file": _INSIDE,
    "source.embedded": _INSIDE,
    "settings": "the settings, one per line, indented below it",
    "settings.strength": f"a number from 0.0 to {MAX_STRENGTH}",
    "settings.min_strength": f"a number from {-WIDEST_STRENGTH} to 0.0",
    "settings.max_strength": f"a number above 0.0, to {WIDEST_STRENGTH}",
    "settings.first_step": f"a whole number from 1 to {MAX_STEPS}",
    "settings.last_step": f"a whole number from 1 to {MAX_STEPS}",
    "settings.parts": "te, in, mid, … and the strength there, one per line, indented below it",
    "settings.guidance_scale": _GUIDANCE,
    "settings.clip_skip": f"a whole number from 1 to {MAX_CLIP_SKIP}",
    "settings.steps": f"a whole number from 1 to {MAX_STEPS}",
    "settings.default_width": _SIDE,
    "settings.default_height": _SIDE,
    "settings.max_pixels": f"a whole number of pixels from 1024 to {2**26}",
    "settings.dtype": "float32, float16 or bfloat16",
    "settings.supports_negative_prompt": "true or false",
    "settings.scheduler": "the name of a diffusers class that ends in Scheduler",
    "settings.max_sequence_length": _TOKENS,
    "settings.token_window": _TOKENS,
    "settings.vram_usage": "a number of MiB, 0 or more",
}
"""Field → what it may be; every field of both kinds stands here."""

_PARTS: dict[type[Preset], dict[str, type[BaseModel]]] = {
    ModelPreset: {"": ModelPreset, "settings": ModelSettings, "source": Source},
    LoraPreset: {"": LoraPreset, "settings": LoraSettings, "source": Source},
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that is wrong: the dotted field, what is wrong, and the way out."""

    field: str
    message: str
    way_out: str


def sentences(error: ValidationError, kind: type[Preset]) -> Iterator[Sentence]:
    """One sentence per error, in pydantic's order."""
    for details in error.errors(include_url=False):
        yield _sentence(details, kind)


def _sentence(details: ErrorDetails, kind: type[Preset]) -> Sentence:
    field = ".".join(str(part) for part in details["loc"])
    context = details.get("ctx", {})
    if details["type"] == "preset":
        return Sentence(context["field"], context["message"], context["way_out"])
    if details["type"] == "extra_forbidden":
        return _unknown(tuple(str(part) for part in details["loc"]), kind)
    expected = EXPECTED.get(field, "something else")
    if details["type"] == "missing":
        return Sentence(field, f"{field} is missing.", f"Add {field}: {expected}.")
    found = details["input"]
    return Sentence(field, f"{field} is {in_words(found)}.", _mend(found, expected))


def _mend(found: object, expected: str) -> str:
    bare = expected.startswith(("a number", "a whole", "true"))
    if isinstance(found, str) and bare:
        return f"Write {expected}, without quotes."
    if isinstance(found, bool | int | float) and not bare:
        return f"Write {expected}; in quotes if it looks like a number or true."
    return f"Write {expected}."


def in_words(value: object) -> str:
    """A value as a person would write it in a file, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return clip(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else repr(value)[:60]


def _unknown(path: tuple[str, ...], kind: type[Preset]) -> Sentence:
    field, part, name = ".".join(path), ".".join(path[:-1]), path[-1]
    known = list(_PARTS[kind][part].model_fields)
    message = f"{clip(name)} is not a field here."
    elsewhere = [
        f"{other}.{name}" if other else name
        for other, model in _PARTS[kind].items()
        if other != part and name in model.model_fields
    ]
    if elsewhere:
        return Sentence(field, message, f"It belongs to {elsewhere[0]}.")
    return Sentence(field, message, did_you_mean(name, known))


def did_you_mean(name: str, known: list[str]) -> str:
    """A way out for a word that is not one of ``known``."""
    close = difflib.get_close_matches(name.lower()[:80], known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(known)}."
