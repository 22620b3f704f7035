"""A blind tournament of arms: people choose between two pictures, and the arms get an order.

The model is Bradley and Terry's (1952): arm i is preferred to j with probability
1 / (1 + exp(θ_j - θ_i)). It is fitted with the MM algorithm of Hunter (2004, "MM algorithms for
generalized Bradley-Terry models"); a tie is half a win for each side. Every arm also has won and
lost half a time against an imaginary one of strength 0, so that an arm that always won has a
strength at all (the Gamma prior of Caron and Doucet 2012, in that form). Intervals are those of
the information matrix at the estimate, θ ± z·SE.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt, tanh
from typing import Self

import numpy as np

from studio.comparison.review import Agreement, agreement
from studio.comparison.votes import Choice, ShownSide, majority
from studio.contract.base import Contract, Count
from studio.trials.observations import TrialArm
from studio.trials.samples import Floats

_Z = 1.959963984540054
"""Of the standard normal distribution, both tails together 1 - ``CONFIDENCE``."""
_PRIOR = 0.5
_CHANGE = 1e-8
_ITERATIONS = 10_000
_FEWEST_ARMS = 5
"""Below it, a rank correlation's interval has no meaning."""


class Duel(Contract):
    """One choice between two arms' pictures of one prompt and seed.

    Attributes:
        prompt: of the kind that the tournament is about.
        choice: of ``left`` and ``right``, whichever side of the page they were shown on.
        by: who chose; a name, or a sitting's.
    """

    left: TrialArm
    right: TrialArm
    prompt: str
    seed: int
    choice: Choice
    swapped: bool
    by: str

    def chosen(self, side: ShownSide) -> Self:
        """The duel once somebody has chosen the picture that was shown there."""
        if side == "equal":
            return self.model_copy(update={"choice": "equal"})
        left = (side == "first") != self.swapped
        return self.model_copy(update={"choice": "left" if left else "right"})


class Rank(Contract):
    """An arm's strength θ with its 95 % interval; 0 is the average, and a difference of 1.1 says
    that three of four choices go to the stronger arm."""

    arm: TrialArm
    strength: float
    low: float
    high: float
    duels: Count


@dataclass(frozen=True, slots=True)
class Ranking:
    """The fitted model.

    Attributes:
        ranks: strongest first.
        covariance: (arms, arms), of the strengths in the order of ``ranks``.
    """

    ranks: tuple[Rank, ...]
    covariance: Floats

    def apart(self, one: int, other: int) -> float:
        """How many standard errors lie between two ranks."""
        return abs(self.ranks[one].strength - self.ranks[other].strength) / self._error(one, other)

    def information(self, one: int, other: int) -> float:
        """What one more choice between two ranks would tell: its variance under the model times
        that of their difference, the step of a D-optimal design."""
        gap = self.ranks[one].strength - self.ranks[other].strength
        chance = (1 + tanh(gap / 2)) / 2
        return chance * (1 - chance) * self._error(one, other) ** 2

    def _error(self, one: int, other: int) -> float:
        of = self.covariance
        return sqrt(of[one, one] + of[other, other] - 2 * of[one, other])

    @property
    def open(self) -> list[tuple[int, int]]:
        """Pairs of ranks whose order is not sure at 95 %, by the most that one choice can tell."""
        pairs = combinations(range(len(self.ranks)), 2)
        unsure = [pair for pair in pairs if self.apart(*pair) < _Z]
        return sorted(unsure, key=lambda pair: (-self.information(*pair), pair))


def ranking(arms: Sequence[TrialArm], duels: Iterable[Duel]) -> Ranking:
    """The order of ``arms`` by their duels; the same two pictures count once, by the choice of
    most, since choices between the same pictures are not independent.

    Raises:
        ValueError: a duel is of an arm that is not among them.
        ArithmeticError: the iteration does not come to rest.
    """
    place = {arm: number for number, arm in enumerate(arms)}
    wins: Floats = np.zeros((len(arms), len(arms)))
    for (left, right, _, _), choices in _judged(duels).items():
        if left not in place or right not in place:
            raise ValueError("a duel of an arm that is not in the tournament")
        won = {"left": 1.0, "right": 0.0, "equal": 0.5}[majority(list(choices.values()))]
        wins[place[left], place[right]] += won
        wins[place[right], place[left]] += 1 - won
    fitted = _fit(wins)
    # Only differences of strengths can be seen; how sure their level is says nothing.
    level = np.eye(len(arms)) - 1 / max(len(arms), 1)
    theta, covariance = level @ fitted, level @ _covariance(wins, fitted) @ level
    order = sorted(range(len(arms)), key=lambda number: (-theta[number], number))
    met = (wins + wins.T).sum(axis=1)
    ranks = tuple(
        Rank(
            arm=arms[number],
            strength=float(theta[number]),
            low=float(theta[number] - _Z * sqrt(covariance[number, number])),
            high=float(theta[number] + _Z * sqrt(covariance[number, number])),
            duels=round(met[number]),
        )
        for number in order
    )
    return Ranking(ranks, covariance[np.ix_(order, order)])


ShownPair = tuple[TrialArm, TrialArm, str, int]


def _judged(duels: Iterable[Duel]) -> dict[ShownPair, dict[str, Choice]]:
    """The two pictures → who → the last choice, all of them seen from the same side."""
    mirrored: Mapping[Choice, Choice] = {"left": "right", "right": "left", "equal": "equal"}
    found: defaultdict[ShownPair, dict[str, Choice]] = defaultdict(dict)
    for duel in duels:
        if (duel.right, duel.left, duel.prompt, duel.seed) in found:
            shown = (duel.right, duel.left, duel.prompt, duel.seed)
            found[shown][duel.by] = mirrored[duel.choice]
        else:
            found[duel.left, duel.right, duel.prompt, duel.seed][duel.by] = duel.choice
    return dict(found)


def _fit(wins: Floats) -> Floats:
    """θ (arms,) by Hunter's iteration on exp θ, with the imaginary arm's fixed at 1."""
    met = wins + wins.T
    won = wins.sum(axis=1) + _PRIOR
    strength: Floats = np.ones(len(wins))
    for _ in range(_ITERATIONS):
        sums = met / (strength[:, None] + strength[None, :])
        after = won / (sums.sum(axis=1) + 2 * _PRIOR / (strength + 1))
        moved = np.abs(np.log(after / strength)).max(initial=0.0)
        strength = after
        if moved < _CHANGE:
            theta: Floats = np.log(strength)
            return theta
    raise ArithmeticError("the strengths of the tournament do not come to rest")


def _covariance(wins: Floats, theta: Floats) -> Floats:
    """The inverse of the information: Σ n p (1 - p) on the diagonal, its negative beside it."""
    chance = (1 + np.tanh((theta[:, None] - theta[None, :]) / 2)) / 2
    flow = (wins + wins.T) * chance * (1 - chance)
    own = (1 + np.tanh(theta / 2)) / 2
    information = np.diag(flow.sum(axis=1) + 2 * _PRIOR * own * (1 - own)) - flow
    return np.asarray(np.linalg.inv(information), dtype=np.float64)


def next_duels(
    ranked: Ranking,
    pictures: Mapping[TrialArm, Mapping[tuple[str, int], str]],
    duels: Iterable[Duel],
    by: str,
    seed: int,
) -> Iterator[Duel]:
    """Pairs of pictures for ``by`` to choose between, as ties until they are judged: those of
    arms whose order is open, the most telling first, one of each pair of arms.

    Two pictures that are the same pixels are never shown, nor what ``by`` has judged.

    Args:
        pictures: arm → prompt and seed → SHA-256 of the pixels, of one kind of prompt.
        seed: of the draw of prompts, seeds and sides.
    """
    judged = list(duels)
    state = np.random.RandomState([seed % 2**32, len(judged)])
    seen = {
        (frozenset((each.left, each.right)), each.prompt, each.seed)
        for each in judged
        if each.by == by
    }
    for one, other in ranked.open:
        left, right = ranked.ranks[one].arm, ranked.ranks[other].arm
        mine, theirs = pictures.get(left, {}), pictures.get(right, {})
        free = [
            pair
            for pair in sorted(mine.keys() & theirs.keys())
            if mine[pair] != theirs[pair] and (frozenset((left, right)), *pair) not in seen
        ]
        if free:
            prompt, noise = free[state.randint(len(free))]
            yield Duel(
                left=left, right=right, prompt=prompt, seed=noise, choice="equal",
                swapped=bool(state.randint(2)), by=by,
            )  # fmt: skip


def reviewers_agreement(duels: Iterable[Duel]) -> Agreement:
    """Krippendorff's alpha over the pairs that two or more judged."""
    return agreement(_judged(duels).values())


class Correlation(Contract):
    """Spearman's rank correlation of a measure with the people, over arms.

    Attributes:
        low, high: 95 %; None below five arms, or without any variation.
    """

    measure: str
    rho: float | None
    low: float | None
    high: float | None
    arms: Count


def with_people(measure: str, values: Mapping[TrialArm, float], ranked: Ranking) -> Correlation:
    """How far a measure orders the arms as people do. The interval is Fisher's z with the
    standard error of Bonett and Wright (2000), sqrt((1 + rho² / 2) / (n - 3))."""
    from scipy.stats import spearmanr

    both = [(values[rank.arm], rank.strength) for rank in ranked.ranks if rank.arm in values]
    flat = any(len(set(side)) < 2 for side in zip(*both, strict=True)) or len(both) < 2
    rho = None if flat else float(spearmanr(*zip(*both, strict=True)).statistic)
    low = high = None
    if rho is not None and len(both) >= _FEWEST_ARMS and abs(rho) < 1:
        half = _Z * sqrt((1 + rho**2 / 2) / (len(both) - 3))
        low, high = (float(np.tanh(np.arctanh(rho) + sign * half)) for sign in (-1, 1))
    return Correlation(measure=measure, rho=rho, low=low, high=high, arms=len(both))
