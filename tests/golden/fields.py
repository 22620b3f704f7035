"""The fields of everything that is written, by walking the models' own annotations."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from studio.comparison.record import ComparisonRecord
from studio.comparison.replay import ReplayRecord
from studio.comparison.review import Decision
from studio.comparison.votes import BlindVote
from studio.contract.receipt import RunRecord
from studio.gallery.publishing import Publication
from studio.trials.report.card import EpochCard

LATER: Mapping[type[BaseModel], int] = {ReplayRecord: 2, Publication: 2, EpochCard: 3}
"""Models that came whole with a later step."""
WRITTEN: tuple[type[BaseModel], ...] = (
    *(RunRecord, ComparisonRecord, Decision, BlindVote),
    *LATER,
)
"""Every model that reaches a file, with all that it holds; an export holds the first and third."""

_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def all_fields() -> dict[str, str]:
    return {path: kind for model in WRITTEN for path, kind in fields(model).items()}


def fields(model: type[BaseModel]) -> dict[str, str]:
    """Dotted path of every field → its type, its default, whether the default is left out of what
    is written, and the schema step it came with if not the first.

    ``[]`` and ``{}`` in a path are the items of an array and the values of a map.

    Raises:
        TypeError: for an annotation that the walk does not know.
    """
    whole = {model.__name__: f"object, since {LATER[model]}"} if model in LATER else {}
    return whole | dict(_of_model(model.__name__, model))


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What was added, removed (or renamed) or changed, a line for each field."""
    found = []
    for path in sorted(before.keys() | now.keys()):
        if path not in before:
            found.append(f"added: {path}: {now[path]}")
        elif path not in now:
            found.append(f"removed or renamed: {path}: {before[path]}")
        elif before[path] != now[path]:
            found.append(f"changed: {path}: {before[path]} → {now[path]}")
    return found


def unannounced(before: Mapping[str, str], now: Mapping[str, str], step: int) -> list[str]:
    """``differences`` but for what came with ``step`` and says so: fields with all that is in
    them, and values of an enum."""
    new = {path for path, kind in now.items() if kind.endswith(f", since {step}")} - before.keys()
    within = re.compile("|".join(map(re.escape, new)) + r"(?=[.\[{]|$)") if new else None
    later = re.compile(rf' or "[^"]*" \(since {step}\)')
    kept = {
        path: later.sub("", kind) if path in before else kind
        for path, kind in now.items()
        if path in before or within is None or not within.match(path)
    }
    return differences(before, kept)


def uses(step: int, fields: Mapping[str, str]) -> set[str]:
    """What came with ``step``, as ``used`` spells it."""
    value = re.compile(rf'("[^"]*") \(since {step}\)')
    return {path for path, kind in fields.items() if kind.endswith(f", since {step}")} | {
        f"{path} = {each}" for path, kind in fields.items() for each in value.findall(kind)
    }


def used(path: str, value: Any) -> Iterator[str]:
    """Every path in ``value``, as JSON reads it, and every text at its path."""
    yield path
    if isinstance(value, dict):
        for name, held in value.items():
            yield from used(f"{path}.{name}", held)
    elif isinstance(value, list):
        for held in value:
            yield from used(f"{path}[]", held)
    elif isinstance(value, str):
        yield f"{path} = {json.dumps(value)}"


def _of_model(path: str, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        place = f"{path}.{name}"
        yield place, _kind(field.annotation) + _said(field)
        yield from _inside(place, field.annotation)


def _said(field: FieldInfo) -> str:
    said = ""
    if not field.is_required():
        default = field.get_default(call_default_factory=True)
        left_out = field.exclude_if is not None and field.exclude_if(default)
        said = f" = {_spelt(default)}{', left out' if left_out else ''}"
    extra = field.json_schema_extra
    return f"{said}, since {extra['since']}" if isinstance(extra, dict) else said


def _spelt(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value)


def _inside(path: str, annotation: Any) -> Iterator[tuple[str, str]]:
    """The fields of what ``annotation`` holds, at ``path``."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for part in parts:
            yield from _inside(path, part)
    elif origin is Annotated:
        yield from _inside(path, parts[0])
    elif origin in (tuple, dict):
        place = f"{path}[]" if origin is tuple else f"{path}{{}}"
        yield place, _kind(_held(annotation))
        yield from _inside(place, _held(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _of_model(path, annotation)


def _held(annotation: Any) -> Any:
    """What an array or a map with text for keys holds."""
    match get_origin(annotation), get_args(annotation):
        case (t, (held, last)) if t is tuple and last is Ellipsis:
            return held
        case (t, (key, held)) if t is dict and key is str:
            return held
    raise TypeError(f"no written field may be {annotation}")


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(_kind(part) for part in parts)
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return _one_of(dict.fromkeys(parts))
    if origin in (tuple, dict):
        return "array" if origin is tuple else "map"
    return _kind_of_class(annotation)


def _kind_of_class(annotation: Any) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        since: Mapping[Any, int] = getattr(annotation, "__since__", {})
        return _one_of({member.value: since.get(member.value) for member in annotation})
    raise TypeError(f"no written field may be {annotation}")


def _one_of(values: Mapping[Any, int | None]) -> str:
    """``values`` with the step each came with, where it was not the first."""
    return " or ".join(
        json.dumps(value) + (f" (since {step})" if step else "") for value, step in values.items()
    )
