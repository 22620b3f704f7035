"""What every value that crosses a file or a wire has in common.

Canonical JSON is UTF-8 with sorted keys, no white space and no NaN, so that equal values
have equal bytes, and the SHA-256 of those bytes is their fingerprint. Amounts of bytes
and of time are put into words here too.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from studio.errors import NewerRecord, RecordError

SCHEMA = 5
"""The step of everything that is written: records, comparisons, decisions, votes.

A field that comes later belongs to a later step; CONTRIBUTING.md says how to add one.
"""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""SHA-256 of nothing, e3b0c44298fc…: some trainers write it into files, and it is no identity."""

_HEX_64 = r"[0-9a-f]{64}"
_SLUG = r"[a-z0-9]+(?:[-_.][a-z0-9]+)*"
MAX_NAME = 255
"""Bytes of one part of a file's name: what every file system takes."""

Sha256 = Annotated[str, StringConstraints(pattern=rf"^{_HEX_64}$")]
"""64 lower-case hexadecimal digits, so that it may become a file's name."""
Slug = Annotated[str, Field(pattern=rf"^{_SLUG}$", max_length=80)]
"""A preset's name for machines."""
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A number of things, or of bytes: exact in JSON and in SQLite."""


def is_sha256(text: str) -> bool:
    """Whether ``text`` is spelt as ``Sha256`` is."""
    return re.fullmatch(_HEX_64, text) is not None


def is_slug(text: str) -> bool:
    """Whether ``text`` is spelt as ``Slug`` is, whatever its length."""
    return re.fullmatch(_SLUG, text) is not None


def _inside(name: str) -> str:
    parts = name.split("/")
    if any(part.startswith(".") or not part for part in parts) or re.search(r"[\0\\]", name):
        raise ValueError("it is not the name of a file in the outputs")
    if any(len(part.encode("utf-8", "replace")) > MAX_NAME for part in parts) or len(parts) > 16:
        raise ValueError("it is too long for the name of a file")
    return name


Relative = Annotated[str, AfterValidator(_inside)]
"""A file's name below the outputs, ``/``-separated: no way out, nothing hidden, not too long."""


class Contract(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def added(since: int, default: Any = None) -> Any:
    """A field of a written model that came with schema step ``since``.

    It is left out while it has its default, so that a record from before it was there keeps its
    bytes and its fingerprint, and an older studio reads every record that does without it.
    """
    return Field(
        default=default,
        exclude_if=lambda value: bool(value == default),
        json_schema_extra={"since": since},
    )


def says_nothing(value: Any) -> bool:
    """Whether a field that came before schema steps were counted is left out of what is written.

    So the records from before it was there keep their text and their fingerprint. A new field
    is declared with ``added`` instead.
    """
    return value is None or value is False or value == ()


def schema_step(value: Any) -> int:
    """The lowest schema step that has every field in which ``value`` is not at its default."""
    if isinstance(value, BaseModel):
        steps = [1]
        for name, field in type(value).model_fields.items():
            held = getattr(value, name)
            extra = field.json_schema_extra
            if isinstance(extra, dict) and held != field.default:
                steps.append(int(str(extra.get("since", 1))))
            steps.append(schema_step(held))
        return max(steps)
    if isinstance(value, Enum):
        # A value that a later step added: __since__ = {"value": step} in its class.
        since: Mapping[Any, int] = getattr(type(value), "__since__", {})
        return since.get(value.value, 1)
    if isinstance(value, Mapping):
        return max(map(schema_step, value.values()), default=1)
    if isinstance(value, tuple):
        return max(map(schema_step, value), default=1)
    return 1


class Versioned(Contract):
    """A value that is written, with the lowest schema step that can express it.

    So a plan that uses nothing new has the fingerprint that it had before.
    """

    schema_version: int = 1

    @model_validator(mode="after")
    def _expressible(self) -> Self:
        step = schema_step(self)
        if "schema_version" not in self.model_fields_set:
            object.__setattr__(self, "schema_version", step)
        elif not step <= self.schema_version <= SCHEMA:
            raise ValueError(
                f"schema version {self.schema_version} cannot be: the fields are of step {step}, "
                f"and this studio knows {SCHEMA} of them"
            )
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copied = super().model_copy(update=update, deep=deep)
        for cached in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[cached]  # a fingerprint of what was copied from
        step = max(copied.schema_version, schema_step(copied))
        object.__setattr__(copied, "schema_version", step)
        return copied


V = TypeVar("V", bound=Versioned)


def parse_written(model: type[V], text: str | bytes, what: str, way_out: str) -> V:
    """The value that ``text`` (JSON) spells.

    Args:
        what: the file and its content, as the beginning of a sentence.

    Raises:
        NewerRecord: a later release wrote it.
        RecordError: it is no JSON, or lacks, adds or changes a field.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON ({type(error).__name__})"
        raise RecordError(f"{what} cannot be read: {reason}.", way_out) from error
    version = value.get("schema_version") if isinstance(value, dict) else None
    if not isinstance(version, int) or version < 1:
        reason = f"its schema version is {version!r}"
        raise RecordError(f"{what} cannot be read: {reason}.", way_out)
    if version > SCHEMA:
        raise NewerRecord(what, version, SCHEMA)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        reason = f"{where}: {first['msg']}"
        raise RecordError(f"{what} cannot be read: {reason}.", way_out) from error


def canonical_json(value: Any) -> str:
    """The one spelling of ``value`` (a JSON-ready object).

    Raises:
        ValueError: for NaN or infinity, which JSON cannot say.
        TypeError: for anything that is not JSON-ready.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def fingerprint(value: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def is_empty_hash(digits: str) -> bool:
    """Whether ``digits``, whole or the first eight and more, are the SHA-256 of nothing."""
    return len(digits) >= 8 and EMPTY_SHA256.startswith(digits.lower())


def in_bytes(amount: int | None, decimals: int = 2) -> str:
    """ "218 MB", "6.94 GB" with so many ``decimals``; "an unknown amount" for None."""
    if amount is None:
        return "an unknown amount"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= size:
            value = amount / size
            return f"{value:.{decimals}f} {unit}" if unit == "GB" else f"{value:.3g} {unit}"
    return "1 byte" if amount == 1 else f"{amount} bytes"


def in_time(seconds: float) -> str:
    """What is left or guessed: "14 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class FileIdentity(Contract):
    """A file as the contract knows it; where it lies is nobody's business.

    Attributes:
        name: path inside its model, ``/``-separated, or the bare file name of a LoRA.
        sha256: of the whole file, 64 hexadecimal digits.
        size: bytes.
    """

    name: str
    sha256: Sha256
    size: Count
