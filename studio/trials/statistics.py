"""What a trial's numbers allow to say: medians, differences of arms, and how sure they are.

Arms are compared on the same prompts and seeds. A picture of one prompt is not independent of
another one of that prompt, nor of the pictures that began with the same noise; so whole prompts
and whole seeds are drawn again (*cluster bootstrap*), and the two variances are added: the
two-way clustering of Cameron, Gelbach and Miller (2011, "Robust inference with multiway
clustering") without its last term, which errs towards wider intervals. Each variance has the
factor n / (n - 1) for its few clusters, and the interval is median ± Student's t at the degrees
of freedom of Satterthwaite (1946, "An approximate distribution of estimates of variance
components").

Everything is the same for the same observations and the same seed: draws come from numpy's
``RandomState``, whose stream is frozen (NEP 19).
"""

from collections.abc import Mapping
from enum import StrEnum
from math import ceil, inf, sqrt
from typing import Literal, TypeVar

import numpy as np
from pydantic import Field

from studio.contract.base import Contract, Count
from studio.trials.samples import Floats, Indices, Readings

CONFIDENCE = 0.95
FEWEST = 3
"""Prompts, or seeds, below which how much they vary cannot be told."""
POWER = 0.8
"""Chance of telling a difference apart that "more pairs would decide it" is reckoned for."""
_POWER_QUANTILE = 0.8416212335729143
"""Of the standard normal distribution at ``POWER``."""
_ROUNDING = 1e-9

Way = Literal["prompts", "seeds"]
Name = TypeVar("Name")


class Resampling(Contract):
    """How often clusters are drawn again, and from which random seed."""

    seed: Count = 0
    draws: int = Field(default=400, ge=100, le=20_000)


class Interval(Contract):
    """A median and how sure it is.

    Attributes:
        low, high: ends of the interval; None where there are too few prompts and seeds for one.
        pairs: pictures, or pairs of them, that it rests on; near-duplicates count once.
        over: what was drawn again. What is missing here had fewer than ``FEWEST``, and the
            interval then holds for just these prompts, or seeds.
        error: standard error.
        freedom: degrees of freedom of the error.
    """

    median: float
    low: float | None
    high: float | None
    pairs: Count
    prompts: Count
    seeds: Count
    over: tuple[Way, ...]
    confidence: float
    error: float | None
    freedom: float | None

    @property
    def direction(self) -> "Direction":
        """Of a difference: what it says of the first arm against the second."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return Direction.OPEN
        return Direction.HIGHER if self.low > 0 else Direction.LOWER


class Direction(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"
    OPEN = "open"
    """They cannot be told apart, yet."""


class More(Contract):
    """What would tell two arms apart, were their difference the one seen so far.

    Attributes:
        pairs: how many more, of new ``of`` alone; or of both in equal measure.
    """

    pairs: Count
    of: Literal["prompts", "seeds", "both"]


def estimate(
    sample: Readings, resampling: Resampling, confidence: float = CONFIDENCE
) -> Interval | None:
    """The median of a sample with its interval; None where there is no value.

    Args:
        confidence: that the interval holds the median over all prompts and seeds of this kind.
    """
    if not len(sample.values):
        return None
    parts = _variances(sample, resampling)
    error, freedom = _sum(parts)
    middle = median(sample)
    half = None if error is None else _student(freedom, 1 - (1 - confidence) / 2) * error
    return Interval(
        median=middle,
        low=None if half is None else middle - half,
        high=None if half is None else middle + half,
        pairs=sample.pairs,
        prompts=len(np.unique(sample.prompts)),
        seeds=len(np.unique(sample.seeds)),
        over=tuple(parts),
        confidence=confidence,
        error=error,
        freedom=None if error is None else freedom,
    )


def median(sample: Readings) -> float:
    """Of a sample that has a value; near-duplicates share the weight of one picture."""
    return float(medians(sample.values, sample.weights[None])[0])


def medians(values: Floats, weights: Floats) -> Floats:
    """The weighted medians (draws,) of ``values`` (n,) under each row of ``weights`` (draws, n);
    between two values, their mean. Rows must have a weight above 0."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    run = np.cumsum(weights[:, order], axis=1)
    half = run[:, -1:] / 2
    low = (run < half - _ROUNDING).sum(axis=1)
    high = np.minimum((run <= half + _ROUNDING).sum(axis=1), len(values) - 1)
    middle: Floats = (ordered[low] + ordered[high]) / 2
    return middle


def draws_of(clusters: Indices, state: np.random.RandomState, draws: int) -> Floats:
    """(draws, n): how often each value's cluster was drawn."""
    _, index = np.unique(clusters, return_inverse=True)
    count = int(index.max()) + 1
    drawn = state.multinomial(count, np.full(count, 1 / count), size=draws)
    times: Floats = drawn[:, index].astype(np.float64)
    return times


def _variances(sample: Readings, resampling: Resampling) -> dict[Way, tuple[float, int]]:
    """Way → variance of the median over it, and its degrees of freedom."""
    found: dict[Way, tuple[float, int]] = {}
    ways: tuple[tuple[Way, Indices], ...] = (("prompts", sample.prompts), ("seeds", sample.seeds))
    for way, clusters in ways:
        count = len(np.unique(clusters))
        if count >= FEWEST:
            found[way] = (_variance(sample, clusters, resampling) * count / (count - 1), count - 1)
    return found


def _variance(sample: Readings, clusters: Indices, resampling: Resampling) -> float:
    state = np.random.RandomState(resampling.seed)
    times = draws_of(clusters, state, resampling.draws)
    return float(medians(sample.values, sample.weights * times).var())


def _sum(parts: Mapping[Way, tuple[float, int]]) -> tuple[float | None, float]:
    """Standard error and degrees of freedom; no error without parts."""
    if not parts:
        return None, inf
    total = sum(variance for variance, _ in parts.values())
    weighed = sum(variance**2 / freedom for variance, freedom in parts.values())
    return sqrt(total), total**2 / weighed if weighed else float(max(f for _, f in parts.values()))


def _student(freedom: float, share: float) -> float:
    from scipy.special import stdtrit  # a command that counts nothing need not wait for it

    return float(stdtrit(freedom, share))


def difference(
    one: Readings, other: Readings, resampling: Resampling, confidence: float = CONFIDENCE
) -> Interval | None:
    """The median of ``one - other`` on their common prompts and seeds; None without any."""
    return estimate(one.minus(other), resampling, confidence)


def more_pairs(
    one: Readings, other: Readings, resampling: Resampling, confidence: float = CONFIDENCE
) -> More | None:
    """What would tell two arms apart with a chance of ``POWER``, if their difference is the one
    seen so far; None where there is no difference, no interval, or they are apart already.

    The error is taken apart into what prompts, seeds and single pictures add, by the moments of
    three bootstraps (prompts, seeds, pictures); prompts' part does not shrink with more seeds.
    It is a guess from few pictures, and no promise.
    """
    apart = one.minus(other)
    seen = estimate(apart, resampling, confidence)
    if seen is None or seen.error is None or seen.freedom is None or not seen.median:
        return None
    if seen.direction is not Direction.OPEN or len(seen.over) < 2:
        return None
    quantile = _student(seen.freedom, 1 - (1 - confidence) / 2) + _POWER_QUANTILE
    allowed = (seen.median / quantile) ** 2
    by_prompt, by_seed, by_picture = _components(apart, resampling)
    prompts, seeds = seen.prompts, seen.seeds
    left = allowed - by_prompt / prompts
    if left > 0:
        wanted = ceil((by_seed + 2 * by_picture / prompts) / left)
        return More(pairs=prompts * max(1, wanted - seeds), of="seeds")
    left = allowed - by_seed / seeds
    if left > 0:
        wanted = ceil((by_prompt + 2 * by_picture / seeds) / left)
        return More(pairs=seeds * max(1, wanted - prompts), of="prompts")
    growth = seen.error**2 / allowed
    return More(pairs=min(ceil(seen.pairs * (growth**2 - 1)), 10**9), of="both")


def _components(sample: Readings, resampling: Resampling) -> tuple[float, float, float]:
    """Variances of prompts, seeds and single pictures, as the median feels them.

    With P prompts and S seeds a draw of prompts varies by a/P + c/PS, of seeds by b/S + c/PS, of
    single pictures by (a + b + c)/PS; these are solved for a, b and c, none below 0.
    """
    parts = _variances(sample, resampling)
    (over_prompts, less), (over_seeds, fewer) = parts["prompts"], parts["seeds"]
    prompts, seeds = less + 1, fewer + 1
    count = len(sample.values)
    singly = _variance(sample, np.arange(count), resampling) * count / (count - 1)
    rest = (singly - over_prompts / seeds - over_seeds / prompts) / (1 - 1 / seeds - 1 / prompts)
    rest = min(max(rest, 0.0), over_prompts, over_seeds)
    return (
        (over_prompts - rest) * prompts,
        (over_seeds - rest) * seeds,
        rest * prompts * seeds,
    )


class Against(Contract):
    """An arm against the leader: its difference, with the level corrected for their number."""

    difference: Interval | None
    out: bool


def against_the_leader(
    samples: Mapping[Name, Readings], resampling: Resampling, confidence: float = CONFIDENCE
) -> tuple[Name, dict[Name, Against]]:
    """The arm with the highest median, and each other one against it; what is not out cannot be
    told apart from the best.

    The best arm is out with a chance of at most 1 - ``confidence``, whichever it is and however
    many there are: each of k arms is tested one-sidedly at the level (1 - confidence) / (k - 1),
    the multiple comparisons with the best of Hsu (1984) with Bonferroni's bound in place of
    Dunnett's.

    Raises:
        ValueError: without samples.
    """
    if not samples:
        raise ValueError("there is no arm to compare")
    middle = {name: median(each) for name, each in samples.items()}
    leader = max(middle, key=lambda name: middle[name])
    level = (1 - confidence) / max(len(samples) - 1, 1)
    found = {}
    for name, sample in samples.items():
        if name != leader:
            apart = difference(sample, samples[leader], resampling, 1 - 2 * level)
            lower = apart is not None and apart.direction is Direction.LOWER
            found[name] = Against(difference=apart, out=lower)
    return leader, found
