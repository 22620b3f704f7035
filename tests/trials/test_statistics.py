"""Against truths that are known because they were made here: intervals cover as they say."""

from __future__ import annotations

import numpy as np
import pytest

from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.samples import Readings, counted_once, inert, samples_of, twins
from studio.trials.statistics import (
    Direction,
    Resampling,
    against_the_leader,
    difference,
    estimate,
    medians,
    more_pairs,
)
from tests.support.simulated_trials import Noise, simulated

QUICK = Resampling(seed=7, draws=100)


def grid(values: np.ndarray) -> Readings:
    """(prompts, seeds) → a sample."""
    prompts, seeds = values.shape
    return Readings.of(
        values.ravel(), np.repeat(np.arange(prompts), seeds), np.tile(np.arange(seeds), prompts)
    )


@pytest.mark.parametrize(
    "noise",
    [
        Noise(0.6, 0.2, 0.7, skewed=True),
        Noise(0.3, 0.3, 1.0),
        Noise(0.0, 0.0, 1.0, heavy=True),
    ],
    ids=str,
)
@pytest.mark.parametrize(("prompts", "seeds"), [(4, 3), (8, 6)])
def test_an_interval_covers_as_it_says(noise: Noise, prompts: int, seeds: int) -> None:
    random = np.random.RandomState(20)
    covered, times = 0, 250
    for _ in range(times):
        found = estimate(grid(noise.draw(random, prompts, seeds)), QUICK)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= noise.median <= found.high
    assert covered / times >= 0.93


def test_the_interval_of_a_difference_is_paired() -> None:
    """What prompts and seeds do to both arms alike takes no part in it."""
    random = np.random.RandomState(1)
    shared = 10 * random.standard_normal((4, 3))
    low, high = grid(shared), grid(shared + 0.5 + 0.1 * random.standard_normal((4, 3)))
    apart = difference(high, low, QUICK)
    assert apart is not None
    assert apart.direction is Direction.HIGHER
    assert apart.pairs == 12
    alone = estimate(high, QUICK)
    assert alone is not None
    assert alone.error is not None
    assert apart.error is not None
    assert apart.error < alone.error / 10


def test_a_weighted_median_is_that_of_the_values_repeated() -> None:
    random = np.random.RandomState(2)
    values = random.standard_normal(9)
    times = random.randint(0, 4, size=(50, 9)).astype(float)
    expected = [np.median(np.repeat(values, row.astype(int))) for row in times]
    assert medians(values, times) == pytest.approx(expected)


def test_near_duplicates_count_once() -> None:
    values, place = [1.0, 1.0, 1.0, 1.0, 5.0, 6.0, 7.0], list(range(7))
    found = estimate(Readings.of(values, [0] * 7, place, [0, 0, 0, 0, 1, 2, 3]), QUICK)
    assert found is not None
    assert (found.median, found.pairs) == (5.5, 4)


def test_too_few_prompts_or_seeds_are_not_drawn_again() -> None:
    found = estimate(grid(np.arange(8.0).reshape(2, 4)), QUICK)
    assert found is not None
    assert found.over == ("seeds",)
    alone = estimate(grid(np.arange(4.0).reshape(2, 2)), QUICK)
    assert alone is not None
    assert (alone.over, alone.low, alone.direction) == ((), None, Direction.OPEN)
    nothing = Readings.of([], [], [])
    assert estimate(nothing, QUICK) is None


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Readings.of([float("nan")], [0], [0])
    with pytest.raises(ValueError, match="one value"):
        Readings.of([1.0, 2.0], [0, 0], [0, 0])


def test_ties_are_called_ties() -> None:
    """Eight arms without a difference: at most 5 in 100 trials call one of them worse than the
    leader for being the best (each arm is the best here, so the chance is for each)."""
    random, calls, times = np.random.RandomState(3), 0, 60
    for _ in range(times):
        arms = {name: grid(Noise(0.5, 0.2, 1.0).draw(random, 4, 4)) for name in range(8)}
        _, found = against_the_leader(arms, QUICK)
        calls += sum(each.out for each in found.values())
    assert calls / (times * 8) <= 0.05


def test_more_pairs_are_asked_for_where_they_would_decide() -> None:
    random = np.random.RandomState(4)
    noise = 0.3 * random.standard_normal((4, 3))
    open_ = (grid(noise + 0.15), grid(np.zeros((4, 3))))
    assert difference(*open_, QUICK).direction is Direction.OPEN  # type: ignore[union-attr]
    more = more_pairs(*open_, QUICK)
    assert more is not None
    assert more.pairs > 0
    halved = more_pairs(grid(noise / 2 + 0.15), open_[1], QUICK)
    assert halved is None or halved.pairs <= more.pairs
    assert more_pairs(grid(noise + 9), open_[1], QUICK) is None
    # The prompts disagree, each for itself steadily: no seed decides it.
    by_prompt = np.array([[-1.0], [0.5], [1.2], [2.0]]) + 0.01 * noise
    wanted = more_pairs(grid(by_prompt), open_[1], QUICK)
    assert wanted is not None
    assert wanted.of != "seeds"


def test_the_same_seed_gives_the_same_numbers_whatever_the_order() -> None:
    observations = simulated({500: 0.2, 1000: 0.4}, seeds=4)
    arm = TrialArm(checkpoint="1000", step=1000, strength=1.0)
    key = (arm, PromptKind.TRIGGER, "effect")
    one = estimate(samples_of(observations)[key], QUICK)
    other = estimate(samples_of(reversed(observations))[key], QUICK)
    assert one == other
    assert one != estimate(samples_of(observations)[key], Resampling(seed=8, draws=100))


def test_inert_and_equal_arms_are_found() -> None:
    observations = simulated({500: 0.2, 1000: 0.4}, seeds=2)
    again = [_as(each, "1500", 1500) for each in observations if each.arm.step == 1000]
    base = [
        _as(each, "2000", 2000).model_copy(update={"picture": each.base_picture})
        for each in observations
        if each.arm.step == 500
    ]
    every: list[Observation] = [*observations, *again, *base]
    assert [arm.step for arm in inert(every)] == [2000]
    assert [[arm.step for arm in group] for group in twins(every)] == [[1000, 1500]]
    assert counted_once(every) == {}
    doubled = [each.model_copy(update={"duplicate_of": every[0].picture}) for each in every[1:3]]
    assert counted_once(doubled) == {every[1].arm: len({each.pair for each in doubled})}


def _as(each: Observation, name: str, step: int) -> Observation:
    arm = TrialArm(checkpoint=name, step=step, strength=each.arm.strength)
    return each.model_copy(update={"arm": arm})
