"""Shapes in a trial's numbers: where a curve over steps bends, and which arms nobody beats."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from studio.contract.base import Contract
from studio.trials.samples import Floats, Readings
from studio.trials.statistics import CONFIDENCE, Name, Resampling, draws_of, medians

FEWEST_STEPS = 5
"""Of a curve that may have a knee: two lines need three points, and a line through two says
nothing."""
Bend = Literal["flattens", "rises", "turns"]


class Knee(Contract):
    """Where a curve over steps bends.

    Attributes:
        low, high: the interval of ``step``, from bends of the curves drawn again.
        bend: the curve rises or falls up to here and then less so; or begins to from here; or
            turns around.
    """

    step: int
    low: int
    high: int
    bend: Bend


def knee(
    samples: Mapping[int, Readings], resampling: Resampling, confidence: float = CONFIDENCE
) -> Knee | None:
    """The bend of the medians over steps; None where they do not surely bend.

    Two lines that meet at one of the inner steps are fitted by least squares, at that with the
    smallest rest: broken-stick regression (Hudson 1966, "Fitting segmented curves whose join
    points have to be estimated"). The same is done with prompts and seeds drawn again, the same
    ones for every step (the *pigeonhole bootstrap* of Owen 2007). It bends surely where the lines
    turn the same way in all but 1 - ``confidence`` of these, half of that on each side.

    Args:
        samples: step → the measure, at one strength.
    """
    steps = sorted(step for step, sample in samples.items() if len(sample.values))
    if len(steps) < FEWEST_STEPS:
        return None
    curves = replicates({step: samples[step] for step in steps}, resampling)
    axis = np.array(steps, dtype=np.float64)
    axis = (axis - axis[0]) / (axis[-1] - axis[0])
    places, turns, slopes = _broken_sticks(axis, curves)
    same = float((np.sign(turns[1:]) == np.sign(turns[0])).mean()) if turns[0] else 0.0
    tail = (1 - confidence) / 2
    if len(turns) < 2 or same < 1 - tail:
        return None
    low, high = np.quantile(places[1:], (tail, 1 - tail), method="closest_observation")
    before, after = float(slopes[0]), float(slopes[0] + turns[0])
    return Knee(
        step=steps[int(places[0])],
        low=steps[int(low)],
        high=steps[int(high)],
        bend=_bend(before, after),
    )


def _bend(before: float, after: float) -> Bend:
    if before * after < 0 and min(abs(before), abs(after)) > max(abs(before), abs(after)) / 4:
        return "turns"
    return "flattens" if abs(after) < abs(before) else "rises"


def replicates(samples: Mapping[Name, Readings], resampling: Resampling) -> Floats:
    """(1 + draws, samples): the medians as they are, then under prompts and seeds drawn again,
    one draw for all samples. Draws that leave a sample empty are left out."""
    prompts = np.concatenate([each.prompts for each in samples.values()])
    seeds = np.concatenate([each.seeds for each in samples.values()])
    of_prompt = _times(prompts, resampling, 0)
    of_seed = _times(seeds, resampling, 1)
    columns, whole = [], np.ones(resampling.draws, dtype=bool)
    for each in samples.values():
        times = np.stack([of_prompt[int(one)] for one in each.prompts], axis=1)
        times = times * np.stack([of_seed[int(one)] for one in each.seeds], axis=1)
        weights = each.weights * times
        whole &= weights.sum(axis=1) > 0
        columns.append((each, weights))
    drawn = [
        np.concatenate(
            [
                medians(each.values, each.weights[None]),
                medians(each.values, weights[whole]),
            ]
        )
        for each, weights in columns
    ]
    return np.stack(drawn, axis=1)


def _times(clusters: np.ndarray, resampling: Resampling, stream: int) -> dict[int, Floats]:
    names = np.unique(clusters)
    state = np.random.RandomState([resampling.seed % 2**32, stream])
    times = draws_of(names, state, resampling.draws)
    return {int(name): times[:, place] for place, name in enumerate(names)}


def _broken_sticks(axis: Floats, curves: Floats) -> tuple[np.ndarray, Floats, Floats]:
    """Of each curve (curves, steps): place of the bend, change of the slope, slope before."""
    rests, turns, slopes = [], [], []
    inner = range(1, len(axis) - 1)
    for place in inner:
        basis = np.stack([np.ones_like(axis), axis, np.maximum(axis - axis[place], 0)], axis=1)
        fit = curves @ np.linalg.pinv(basis).T
        rests.append(((curves - fit @ basis.T) ** 2).sum(axis=1))
        slopes.append(fit[:, 1])
        turns.append(fit[:, 2])
    best = np.argmin(np.stack(rests), axis=0)
    every = np.arange(len(curves))
    return best + inner.start, np.stack(turns)[best, every], np.stack(slopes)[best, every]


class OnFront(Contract):
    """An arm in the plane of two measures.

    Attributes:
        front: no other arm is at least as good in both and better in one, by the medians.
        share: of the draws in which that holds of it; what is above 1 - ``CONFIDENCE`` may well
            be on the front.
    """

    front: bool
    share: float


def front(
    good: Mapping[Name, Readings], bad: Mapping[Name, Readings], resampling: Resampling
) -> dict[Name, OnFront]:
    """The Pareto front: more of ``good`` and less of ``bad``, for the arms that have both."""
    names = [name for name in good if name in bad]
    if not names:
        return {}
    # One call, so that both measures see the same seeds where they share them.
    drawn = replicates(
        {(side, name): each[name] for side, each in enumerate((good, bad)) for name in names},
        resampling,
    )
    more, less = drawn[:, : len(names)], drawn[:, len(names) :]
    free = ~_beaten(more, less)
    return {
        name: OnFront(front=bool(free[0, place]), share=float(free[1:, place].mean()))
        for place, name in enumerate(names)
    }


def _beaten(more: Floats, less: Floats) -> np.ndarray:
    """(draws, arms): another arm is as good in both and better in one."""
    as_good = (more[:, None, :] >= more[:, :, None]) & (less[:, None, :] <= less[:, :, None])
    better = (more[:, None, :] > more[:, :, None]) | (less[:, None, :] < less[:, :, None])
    beaten: np.ndarray = np.any(as_good & better, axis=2)
    return beaten


def onset(lows: Mapping[int, float | None], above: float) -> int | None:
    """The first step from which on the interval's lower end stays over ``above``; None where it
    does not stay there to the last step.

    Args:
        lows: step → lower end of the interval, None where there is none.
    """
    first = None
    for step in sorted(lows, reverse=True):
        low = lows[step]
        if low is None or low <= above:
            break
        first = step
    return first
