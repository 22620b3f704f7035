"""What a signature binds besides the file's bytes, as a C2PA manifest says it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from studio.comparison.record import ComparisonRecord
from studio.contract.marks import SourceType
from studio.contract.statement import StatedBase, StatedLora, Statement

PICTURE_LABEL = "com.lorastudio.statement"
SHEET_LABEL = "com.lorastudio.comparison"
OWN_LABELS = (PICTURE_LABEL, SHEET_LABEL)
OWN_GENERATOR = "LoRA Studio"
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MODEL = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Something a picture was made from.

    Attributes:
        sha256: of a model's files, or of a reference image's pixels.
        media_type, data: of the file itself, where it travels along; of a model, its SHA-256.
    """

    title: str
    sha256: str
    source: str
    media_type: str
    data: bytes

    def described(self, number: int) -> dict[str, Any]:
        said: dict[str, Any] = {
            "title": self.title,
            "relationship": "inputTo",
            "label": f"input_{number}",
            "description": f"SHA-256 {self.sha256}",
        }
        if self.media_type == _MODEL:
            said["data_types"] = [{"type": "c2pa.types.model"}]
            said["description"] += f", from {self.source}"
        return said


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is signed: what was done, from what, and the studio's own assertion."""

    release: str
    actions: tuple[dict[str, Any], ...]
    assertions: Mapping[str, Any]
    ingredients: tuple[Ingredient, ...] = ()

    def definition(self, media_type: str) -> dict[str, Any]:
        """As the library takes it."""
        own = [{"label": label, "data": data} for label, data in self.assertions.items()]
        actions = {"label": "c2pa.actions.v2", "data": {"actions": list(self.actions)}}
        return {
            "claim_generator_info": [{"name": OWN_GENERATOR, "version": self.release}],
            "format": media_type,
            "assertions": [actions, *own],
        }


def of_picture(
    statement: Statement, release: str, references: Mapping[str, bytes], shows: bool = True
) -> Manifest:
    """The manifest of a picture.

    Args:
        release: of the studio that signs.
        references: SHA-256 → file of the reference images that travel along.
        shows: whether it says what the picture was made from; else only that a model made it.
    """
    source = statement.source_type or SourceType.GENERATED
    inputs = tuple(_ingredients(statement, references)) if shows else ()
    assertions = {PICTURE_LABEL: statement.model_dump(mode="json")} if shows else {}
    return Manifest(release, tuple(_actions(source, len(inputs))), assertions, inputs)


def of_sheet(record: ComparisonRecord, release: str) -> Manifest:
    """The manifest of a contact sheet: no arm can be exchanged without a new signature."""
    cells = [
        {"label": cell.label, "record": cell.record_fingerprint, "pixels": cell.pixels_sha256}
        for cell in record.pictured
    ]
    said = {
        "record": record.fingerprint,
        "plan": record.plan_fingerprint,
        "sheet_pixels": record.sheet_pixels_sha256,
        "verdict": record.validity.verdict.value,
        "cells": cells,
    }
    source = record.source_type or SourceType.GENERATED
    return Manifest(release, tuple(_actions(source, 0)), {SHEET_LABEL: said})


def _actions(source: SourceType, inputs: int) -> Iterable[dict[str, Any]]:
    """C2PA asks for one action that begins the file; an edit is said beside it."""
    named = {"ingredientIds": [f"input_{number}" for number in range(inputs)]} if inputs else {}
    kind = {"digitalSourceType": _SOURCE + source.value}
    yield {"action": "c2pa.created", "parameters": named, **kind}
    if source is SourceType.EDITED:
        yield {"action": "c2pa.edited", **kind}


def _ingredients(statement: Statement, references: Mapping[str, bytes]) -> Iterable[Ingredient]:
    models: tuple[StatedBase | StatedLora, ...] = (statement.base, *statement.loras)
    for each in models:
        data = each.sha256.encode("ascii")
        yield Ingredient(each.label, each.sha256, each.source, _MODEL, data)
    for sha256 in statement.references:
        if sha256 in references:
            title = f"Reference image {sha256[:12]}"
            yield Ingredient(title, sha256, "", "image/png", references[sha256])
