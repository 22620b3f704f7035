"""A trial's observations as arrays: what belongs to one arm, paired with what another arm gave."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from studio.trials.observations import Observation, PromptKind, TrialArm

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
ReadingsKey = tuple[TrialArm, PromptKind, str]
"""Arm, kind of prompt, name of a measure."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One measure of an arm, a number a picture.

    Attributes:
        values: (n,), in the measure's unit.
        prompts, seeds: (n,), which prompt and which seed, as numbers that mean the same in
            every sample of one trial.
        looks: (n,), which pictures look the same: equal numbers count once.
    """

    values: Floats
    prompts: Indices
    seeds: Indices
    looks: Indices

    @classmethod
    def of(
        cls,
        values: Sequence[float] | Floats,
        prompts: Sequence[int] | Indices,
        seeds: Sequence[int] | Indices,
        looks: Sequence[int] | Indices | None = None,
    ) -> Self:
        """
        Raises:
            ValueError: a value is not finite, or two have the same prompt and seed.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise ValueError("a measured value is not finite")
        pairs = list(zip(prompts, seeds, strict=True))
        if len(pairs) != len(numbers) or len(set(pairs)) != len(pairs):
            raise ValueError("a prompt and a seed need one value, and have one")
        shown = range(len(numbers)) if looks is None else looks
        return cls(numbers, *(np.asarray(each, dtype=np.intp) for each in (prompts, seeds, shown)))

    @property
    def weights(self) -> Floats:
        """(n,): near-duplicates share the weight of one picture."""
        _, group, sizes = np.unique(self.looks, return_inverse=True, return_counts=True)
        shares: Floats = 1.0 / sizes[group]
        return shares

    @property
    def pairs(self) -> int:
        """How many pictures count: near-duplicates once."""
        return len(np.unique(self.looks))

    def minus(self, other: "Readings") -> "Readings":
        """The differences on the prompts and seeds that both have; there may be none.

        A pair counts once however often both sides look the same.
        """
        there = {pair: place for place, pair in enumerate(other._places)}
        both = [(here, there[pair]) for here, pair in enumerate(self._places) if pair in there]
        mine = np.array([one for one, _ in both], dtype=np.intp)
        theirs = np.array([two for _, two in both], dtype=np.intp)
        looks: dict[tuple[int, int], int] = {}
        for one, two in zip(self.looks[mine], other.looks[theirs], strict=True):
            looks.setdefault((int(one), int(two)), len(looks))
        shown = [looks[int(self.looks[one]), int(other.looks[two])] for one, two in both]
        return Readings(
            self.values[mine] - other.values[theirs],
            self.prompts[mine],
            self.seeds[mine],
            np.array(shown, dtype=np.intp),
        )

    def times(self, factor: float) -> "Readings":
        return replace(self, values=factor * self.values)

    @property
    def _places(self) -> list[tuple[int, int]]:
        return list(zip(self.prompts.tolist(), self.seeds.tolist(), strict=True))


def samples_of(observations: Iterable[Observation]) -> dict[ReadingsKey, Readings]:
    """What each arm gave, by kind of prompt and measure; values are paired with the base.

    Raises:
        ValueError: two observations of one picture and measure.
    """
    prompts: dict[str, int] = {}
    pictures: dict[str, int] = {}
    found: defaultdict[ReadingsKey, list[tuple[float, int, int, int]]] = defaultdict(list)
    for each in sorted(observations, key=_order):
        look = pictures.setdefault(each.duplicate_of or each.picture, len(pictures))
        prompt = prompts.setdefault(each.prompt, len(prompts))
        found[each.arm, each.kind, each.measure].append((each.paired, prompt, each.seed, look))
    return {
        key: Readings.of(*(list(column) for column in zip(*rows, strict=True)))
        for key, rows in found.items()
    }


def _order(each: Observation) -> tuple[str, int]:
    """The order in which a trial's record lists them says nothing, and so changes nothing."""
    return each.prompt, each.seed


def inert(observations: Iterable[Observation]) -> list[TrialArm]:
    """Arms of which every picture is the base's, pixel for pixel; strength 0 has to be."""
    same: defaultdict[TrialArm, list[bool]] = defaultdict(list)
    for each in observations:
        if each.base_picture is not None and each.arm.acts:
            same[each.arm].append(each.picture == each.base_picture)
    return in_order(arm for arm, found in same.items() if all(found))


def twins(observations: Iterable[Observation]) -> list[tuple[TrialArm, ...]]:
    """Arms of one strength that gave the very same pictures, all prompts and seeds alike.

    Arms that show the base are ``inert`` and no twins.
    """
    gave: defaultdict[TrialArm, dict[object, str]] = defaultdict(dict)
    for each in observations:
        if each.arm.acts:
            gave[each.arm][each.kind, each.pair] = each.picture
    inert_arms = set(inert(observations))
    alike: defaultdict[tuple[float, frozenset[object]], list[TrialArm]] = defaultdict(list)
    for arm, pictures in gave.items():
        if arm not in inert_arms:
            alike[arm.strength, frozenset(pictures.items())].append(arm)
    return [tuple(in_order(arms)) for arms in alike.values() if len(arms) > 1]


def counted_once(observations: Sequence[Observation]) -> dict[TrialArm, int]:
    """Arm → pictures that are not counted, because an earlier one looks almost the same."""
    pictures = {
        (each.arm, each.kind, each.pair): each.duplicate_of is not None
        and each.duplicate_of != each.picture
        for each in observations
    }
    return dict(Counter(arm for (arm, _, _), again in pictures.items() if again))


def in_order(arms: Iterable[TrialArm]) -> list[TrialArm]:
    """By step, then strength."""
    return sorted(arms, key=lambda arm: (arm.step, arm.strength, arm.finer, arm.checkpoint))


def of_arms(
    samples: Mapping[ReadingsKey, Readings], kind: PromptKind, measure: str
) -> dict[TrialArm, Readings]:
    """The arms that ``measure`` has numbers of, in order."""
    arms = in_order(arm for arm, *rest in samples if rest == [kind, measure])
    return {arm: samples[arm, kind, measure] for arm in arms}
