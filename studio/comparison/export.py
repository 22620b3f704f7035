"""Decisions with all their contract's fields, as text that a critic system or a sheet reads."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.comparison.review import Decision
from studio.contract.base import canonical_json
from studio.contract.receipt import RunRecord

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell instead of showing it (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision with the record it is bound to; ``picture`` is its file in the outputs."""

    decision: Decision
    picture: str
    record: RunRecord


def as_jsonl(judged: Iterable[Judged]) -> str:
    """One JSON object a line: ``decision``, ``picture`` and the whole ``record``."""
    lines = (
        canonical_json(
            {
                "decision": each.decision.model_dump(mode="json"),
                "picture": each.picture,
                "record": each.record.model_dump(mode="json"),
            }
        )
        for each in judged
    )
    return "".join(f"{line}\n" for line in lines)


def as_csv(judged: Sequence[Judged]) -> str:
    """A column for every field, named by its path; lists are JSON. RFC 4180, with a header.

    Text that a spreadsheet would compute begins with an apostrophe.
    """
    rows = [_row(each) for each in judged]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row.get(name, "") for name in columns])
    return text.getvalue()


def _row(judged: Judged) -> dict[str, Any]:
    flat = dict(_flat("decision", judged.decision.model_dump(mode="json")))
    flat["picture"] = judged.picture
    flat |= dict(_flat("", judged.record.model_dump(mode="json")))
    return {name: _harmless(value) for name, value in flat.items()}


def _flat(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        yield path, canonical_json(value)
    else:
        yield path, value


def _harmless(value: Any) -> Any:
    """Numbers stay numbers; a text that would be computed is shown as it is."""
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
