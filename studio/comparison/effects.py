"""What a comparison's numbers say of each pair of arms, over the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio.comparison.numbers import ClipReading, Spread, Vector, cosine
from studio.comparison.pairs import arm_name, arm_pairs
from studio.comparison.record import ComparisonRecord
from studio.contract.base import Contract


class EffectSummary(Contract):
    """The spreads of a ``PairedEffect``; None where there is no number."""

    left: str
    right: str
    mean_absolute_difference: Spread | None
    structural_similarity: Spread | None
    clip: Spread | None


@dataclass(frozen=True, slots=True)
class PairedEffect:
    """Two arms, by name, and their numbers seed by seed; a seed without a number is left out."""

    left: str
    right: str
    difference: tuple[float, ...]
    similarity: tuple[float, ...]
    clip: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.left} → {self.right}"

    def summary(self) -> EffectSummary:
        return EffectSummary(
            left=self.left,
            right=self.right,
            mean_absolute_difference=_spread(self.difference),
            structural_similarity=_spread(self.similarity),
            clip=_spread(self.clip),
        )


def paired_effects(record: ComparisonRecord) -> tuple[PairedEffect, ...]:
    """Every pair of arms in the record's order, as its numbers were stored."""
    stored = {(each.left, each.right): each for each in record.numbers}
    effects = []
    for pair in arm_pairs(record):
        found = [stored[cells] for cells in pair.cells if cells in stored]
        measures = [each.measures for each in found if each.measures is not None]
        alike = [each.structural_similarity for each in measures]
        effects.append(
            PairedEffect(
                left=arm_name(record, pair.left),
                right=arm_name(record, pair.right),
                difference=tuple(each.mean_absolute_difference for each in measures),
                similarity=tuple(value for value in alike if value is not None),
                clip=tuple(each.clip for each in found if each.clip is not None),
            )
        )
    return tuple(effects)


def _spread(values: tuple[float, ...]) -> Spread | None:
    return Spread.of(values) if values else None


def with_scores(
    record: ComparisonRecord, cells: Sequence[int], reading: ClipReading
) -> ComparisonRecord:
    """``record`` with each picture against its prompt, and both pictures of each pair.

    Args:
        cells: the pictured cells, in the order in which the model read them.
    """
    pictures = dict(zip(cells, reading.images, strict=True))
    prompts = dict(zip(cells, reading.texts, strict=True))
    scored = [
        cell.model_copy(update={"clip": _against(pictures.get(index), prompts.get(index))})
        for index, cell in enumerate(record.cells)
    ]
    numbers = [
        each.model_copy(
            update={"clip": _against(pictures.get(each.left), pictures.get(each.right))}
        )
        for each in record.numbers
    ]
    update = {"cells": tuple(scored), "numbers": tuple(numbers), "clip": reading.model}
    return record.model_copy(update=update)


def _against(one: Vector | None, other: Vector | None) -> float | None:
    return None if one is None or other is None else cosine(one, other)
