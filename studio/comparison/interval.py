"""The exact confidence interval of a share (Clopper and Pearson 1934), by bisection."""

import math
from collections.abc import Callable

_ROUNDS = 80
"""Halvings of the unit interval: far below what a float can tell apart."""


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of the share that gave ``successes`` of ``trials``, each tail (1 - confidence) / 2.

    The lower bound is the share p with P(X >= successes | p) equal to the tail, the upper
    the one with P(X <= successes | p); 0 and 1 where there is no such p.

    Raises:
        ValueError: for counts or a confidence that cannot be.
    """
    if not 0 <= successes <= trials or not 0 < confidence < 1:
        raise ValueError(f"no interval for {successes} of {trials} at {confidence}")
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0
    if successes > 0:
        fewer = _at_most(successes - 1, trials)
        low = _root(lambda p: 1 - fewer(p) - tail)
    high = 1.0
    if successes < trials:
        as_many = _at_most(successes, trials)
        high = _root(lambda p: tail - as_many(p))
    return low, high


def _at_most(successes: int, trials: int) -> Callable[[float], float]:
    """P(X <= successes) for a binomial X, by the share, which is neither 0 nor 1.

    The terms are summed from their logarithms: their factors leave the range of a float.
    """
    ways = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        for k in range(successes + 1)
    ]

    def at_most(share: float) -> float:
        one, other = math.log(share), math.log1p(-share)
        return math.fsum(
            math.exp(way + k * one + (trials - k) * other) for k, way in enumerate(ways)
        )

    return at_most


def _root(rising: Callable[[float], float]) -> float:
    """Where ``rising`` crosses 0 between 0 and 1."""
    low, high = 0.0, 1.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
