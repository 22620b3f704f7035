"""AIR URNs, the names CivitAI gives to models: text ⇄ fields.

Two grammars are in use and both are read; ``urn:`` and ``air:`` may be missing:

    urn:air:{ecosystem}:{type}:{source}:{id}@{version}:{layer}.{format}        (legacy)
    urn:air:{ecosystem}:{type}:{source}:{id}@{version}+{file id}.{format}      (current)
"""

import re
from dataclasses import dataclass
from typing import Self

LORA_TYPES = frozenset({"lora", "lycoris", "locon", "dora"})
"""AIR types that are low-rank adapters."""

MAX_LENGTH = 400
"""Longest AIR that is read, in characters; real ones stay below 100."""

_SHAPE = "urn:air:{ecosystem}:{type}:{source}:{id}@{version}"
_NUMBERED = frozenset({"civitai"})
_FORMATS = frozenset(
    {"safetensors", "safetensor", "ckpt", "pt", "pth", "bin", "gguf", "onnx", "diffusers", "zip"}
)
_WORD = r"[A-Za-z0-9_-]+"
# The prefixes are possessive: "air" is never taken for an ecosystem when one is missing.
_GRAMMAR = re.compile(
    rf"(?:urn:)?+(?:air:)?+(?P<ecosystem>{_WORD}):(?P<type>{_WORD}):(?P<source>{_WORD}):"
    rf"(?P<id>{_WORD}(?:[./]{_WORD})*?)(?:@(?P<version>{_WORD}))?(?:\+(?P<file_id>{_WORD}))?"
    rf"(?::(?P<layer>{_WORD}))?(?:\.(?P<format>[A-Za-z0-9]+))?",
    re.IGNORECASE | re.ASCII,
)

_Fields = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Air:
    """One AIR. ``str(air)`` is its canonical text, and parsing that gives ``air`` again.

    Attributes:
        ecosystem, type, source: lower case, for example ``sdxl``, ``lora``, ``civitai``.
        id: the model; digits for CivitAI, ``owner/name`` for Hugging Face.
        version: the model version; None names no bytes, so it cannot be downloaded.
        file_id: one file of that version (current grammar).
        layer: part of the model (legacy grammar).
        format: file format, lower case.

    Raises:
        ValueError: in one sentence, when the fields make no AIR.
    """

    ecosystem: str
    type: str
    source: str
    id: str
    version: str | None = None
    file_id: str | None = None
    layer: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        mine = {name: getattr(self, name) for name in self.__slots__}
        read = _fields(str(self))
        if mine != read:
            wrong = next(name for name in mine if mine[name] != read[name])
            raise ValueError(f"an AIR cannot have {wrong} {mine[wrong]!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The AIR that ``text`` spells, in either grammar.

        Raises:
            ValueError: in one sentence, when it spells none.
        """
        return cls(**_fields(text))  # type: ignore[arg-type]  # _fields has checked them

    @property
    def is_lora(self) -> bool:
        """Whether it names a LoRA or one of its kin (LyCORIS, LoCon, DoRA)."""
        return self.type in LORA_TYPES

    def __str__(self) -> str:
        text = f"urn:air:{self.ecosystem}:{self.type}:{self.source}:{self.id}"
        for mark, value in (
            ("@", self.version),
            ("+", self.file_id),
            (":", self.layer),
            (".", self.format),
        ):
            text += "" if value is None else mark + value
        return text


def _fields(text: str) -> _Fields:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an AIR has at most {MAX_LENGTH} characters, this has {len(text)}")
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an AIR; it should look like {_SHAPE}")
    fields: _Fields = match.groupdict()
    _give_back_dots(fields)
    for name in ("ecosystem", "type", "source", "format"):
        value = fields[name]
        fields[name] = value if value is None else value.lower()
    _check_numbers(fields, text)
    return fields


def _give_back_dots(fields: _Fields) -> None:
    """``owner/name-1.0`` ends in a part of the name, not in a format called ``0``."""
    bare = not (fields["version"] or fields["file_id"] or fields["layer"])
    if bare and fields["format"] is not None and fields["format"].lower() not in _FORMATS:
        fields["id"] = f"{fields['id']}.{fields['format']}"
        fields["format"] = None


def _check_numbers(fields: _Fields, text: str) -> None:
    if fields["source"] not in _NUMBERED:
        return
    for name in ("id", "version", "file_id"):
        value = fields[name]
        if value is not None and not re.fullmatch(r"[0-9]+", value):
            raise ValueError(f"{text!r} has {name} {value!r}; on CivitAI it is a number")
