"""What a comparison's numbers say of each pair of arms, over the seeds."""

from dataclasses import dataclass

from studio.comparison.numbers import Spread
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
