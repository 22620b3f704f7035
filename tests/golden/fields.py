"""The fields of everything that is written, as JSON: ``python -m tests.golden.fields``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from studio.comparison.record import ComparisonRecord
from studio.comparison.review import Decision
from studio.comparison.votes import BlindVote
from studio.contract.receipt import RunRecord

WRITTEN: tuple[type[BaseModel], ...] = (RunRecord, ComparisonRecord, Decision, BlindVote)
"""Every model that reaches a file, with all that it holds; an export holds the first and third."""


def fields(model: type[BaseModel]) -> dict[str, str]:
    """Dotted path of every field → its type, and the schema step it came with if not the first."""
    schema = model.model_json_schema(mode="serialization")
    return dict(_walk(model.__name__, schema, schema.get("$defs", {})))


def _walk(
    path: str, node: Mapping[str, Any], named: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    since = f" since {node['since']}" if "since" in node else ""
    while "$ref" in node:
        node = named[node["$ref"].rpartition("/")[2]]
    if "properties" in node:
        yield path, f"object{since}"
        for name, inner in node["properties"].items():
            yield from _walk(f"{path}.{name}", inner, named)
    elif "anyOf" in node:
        yield path, f"{len(node['anyOf'])} kinds{since}"
        for inner in node["anyOf"]:
            yield from _walk(f"{path}|{inner.get('type', '')}", inner, named)
    elif node.get("type") == "array":
        yield path, f"array{since}"
        yield from _walk(f"{path}[]", node.get("items", {}), named)
    elif isinstance(node.get("additionalProperties"), dict):
        yield path, f"map{since}"
        yield from _walk(f"{path}{{}}", node["additionalProperties"], named)
    else:
        values = node.get("enum", [node["const"]] if "const" in node else [])
        yield path, f"{node.get('type', 'any')}{json.dumps(values) if values else ''}{since}"


def all_fields() -> dict[str, str]:
    return {path: kind for model in WRITTEN for path, kind in fields(model).items()}


if __name__ == "__main__":
    print(json.dumps(all_fields(), indent=0, sort_keys=True))
