"""LoRA headers of every family in every format, as JSON.

Written by ``python -m tests.support.header_data``.

Each file of tests/data/headers holds what tools write for one architecture at full size: names,
dtypes, shapes and metadata, no weights. Under "tensors" stands shape → names; those that differ
only in numbers, or in q, k and v, are one line: ``{0-18}``, ``{0,2}``, ``{k,q,v}``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from pathlib import Path

from tests.support.headers import Shapes

FOLDER = Path(__file__).parents[1] / "data" / "headers"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file's header. ``family`` is architecture and variant, as in ``flux2/klein-4b``."""

    family: str
    format: str
    metadata: dict[str, str]
    dtype: str
    shapes: Shapes = field(repr=False)

    @property
    def architecture(self) -> str:
        return self.family.partition("/")[0]

    @property
    def variant(self) -> str | None:
        return self.family.partition("/")[2] or None


@cache
def samples() -> tuple[Sample, ...]:
    """Every sample on disk, the files in the order of their names."""
    return tuple(
        Sample(family, spelling, file["metadata"], file["dtype"], expanded(file["tensors"]))
        for path in sorted(FOLDER.glob("*.json"))
        for family, files in json.loads(path.read_text(encoding="utf-8")).items()
        for spelling, file in files.items()
    )


def expanded(lines: dict[str, list[str]]) -> Shapes:
    """The opposite of ``folded``."""
    return {
        name: tuple(map(int, filter(None, shape.split("x"))))
        for shape, patterns in lines.items()
        for pattern in patterns
        for name in _names(pattern)
    }


def _names(pattern: str) -> Iterator[str]:
    parts = re.split(r"\{([\w,-]+)\}", pattern)
    choices = [_tokens(part) if at % 2 else [part] for at, part in enumerate(parts)]
    return map("".join, product(*choices))


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found += map(str, range(int(first), int(last) + 1)) if dash else [first]
    return found


_TOKEN = re.compile(r"(?<=[._])(?:\d+|[qkv])(?=[._])")
Tokens = tuple[str, ...]


def folded(shapes: Shapes) -> dict[str, list[str]]:
    """Shape → patterns; every tensor is named by exactly one of them."""
    groups: dict[tuple[str, str], list[Tokens]] = defaultdict(list)
    for name, shape in shapes.items():
        stem = _TOKEN.sub("#", name)
        groups["x".join(map(str, shape)), stem].append(tuple(_TOKEN.findall(name)))
    lines: dict[str, list[str]] = defaultdict(list)
    for (shape_text, stem), found in groups.items():
        lines[shape_text] += (_filled(stem, sets) for sets in _products(sorted(found)))
    return lines


def _filled(stem: str, sets: list[list[str]]) -> str:
    for tokens in sets:
        stem = stem.replace("#", _range(tokens), 1)
    return stem


def _range(tokens: list[str]) -> str:
    if len(tokens) == 1:
        return tokens[0]
    if all(token.isdecimal() for token in tokens):
        numbers = sorted(map(int, tokens))
        if numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"{{{numbers[0]}-{numbers[-1]}}}"
    return "{" + ",".join(tokens) + "}"


def _products(found: list[Tokens]) -> list[list[list[str]]]:
    """The tuples as products of sets, split at the position that needs the fewest of them."""
    sets = [sorted(set(column)) for column in zip(*found, strict=True)]
    if prod(map(len, sets)) == len(found):
        return [sets]
    splits = (_split(found, at, sets[at]) for at in range(len(sets)) if len(sets[at]) > 1)
    return min(splits, key=len)


def _split(found: list[Tokens], at: int, tokens: list[str]) -> list[list[list[str]]]:
    rests: dict[tuple[Tokens, ...], list[str]] = defaultdict(list)
    for token in tokens:
        same = (each for each in found if each[at] == token)
        rests[tuple((*each[:at], *each[at + 1 :]) for each in same)].append(token)
    return [
        [*sets[:at], own, *sets[at:]]
        for rest, own in rests.items()
        for sets in _products(sorted(rest))
    ]


def written(families: dict[str, dict[str, Sample]]) -> str:
    """The text of one file of ``FOLDER``."""
    content = {
        family: {
            spelling: {
                "metadata": sample.metadata,
                "dtype": sample.dtype,
                "tensors": folded(sample.shapes),
            }
            for spelling, sample in files.items()
        }
        for family, files in families.items()
    }
    return json.dumps(content, indent=0) + "\n"


if __name__ == "__main__":
    from tests.support.header_formats import MODELS_OF, build

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in MODELS_OF:
        (FOLDER / f"{name}.json").write_text(written(build(name)), encoding="utf-8")
