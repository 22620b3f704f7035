"""The tournament against choices that were drawn from known strengths."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from studio.trials.observations import TrialArm
from studio.trials.tournament import (
    Duel,
    next_duels,
    ranking,
    reviewers_agreement,
    with_people,
)
from tests.support.simulated_trials import sha

ARMS = [TrialArm(checkpoint=str(step), step=step, strength=1.0) for step in range(1, 7)]


def duel(left: TrialArm, right: TrialArm, number: int, choice: str, by: str = "a") -> Duel:
    return Duel(
        left=left, right=right, prompt="p", seed=number, choice=choice, swapped=False, by=by
    )


def drawn(strengths: list[float], times: int, random: np.random.RandomState) -> list[Duel]:
    found = []
    for one, other in combinations(range(len(strengths)), 2):
        chance = 1 / (1 + np.exp(strengths[other] - strengths[one]))
        for number in range(times):
            choice = "left" if random.rand() < chance else "right"
            found.append(duel(ARMS[one], ARMS[other], number, choice))
    return found


def test_intervals_of_strengths_cover() -> None:
    random, truth = np.random.RandomState(1), [1.0, 0.6, 0.2, -0.2, -0.6, -1.0]
    covered = 0
    for _ in range(40):
        found = ranking(ARMS, drawn(truth, 8, random))
        for rank in found.ranks:
            covered += rank.low <= truth[ARMS.index(rank.arm)] <= rank.high
    assert covered / (40 * 6) >= 0.93


def test_two_arms_have_the_strength_of_their_wins() -> None:
    """By hand: with w wins of n and the prior's half wins, θ₁ = -θ₂ solves
    w + ½ = n·p + σ(θ), p = σ(2θ)."""
    found = ranking(
        ARMS[:2], [duel(ARMS[0], ARMS[1], n, "left" if n < 6 else "right") for n in range(8)]
    )
    theta = found.ranks[0].strength
    expected = 8 / (1 + np.exp(-2 * theta)) + 1 / (1 + np.exp(-theta))
    assert expected == pytest.approx(6.5, abs=1e-6)
    assert found.ranks[1].strength == pytest.approx(-theta, abs=1e-5)


def test_an_arm_that_always_won_has_a_strength_and_ties_have_none() -> None:
    always = ranking(ARMS[:2], [duel(ARMS[0], ARMS[1], n, "left") for n in range(5)])
    assert always.ranks[0].arm == ARMS[0]
    assert np.isfinite(always.ranks[0].high)
    ties = ranking(ARMS[:2], [duel(ARMS[0], ARMS[1], n, "equal") for n in range(5)])
    assert [rank.strength for rank in ties.ranks] == pytest.approx([0, 0])
    assert ties.open == [(0, 1)]


def test_choices_on_the_same_two_pictures_count_once() -> None:
    left, right = ARMS[:2]
    votes = [duel(left, right, 0, "left", by) for by in "abc"]
    votes.append(duel(right, left, 0, "left", "d"))  # the other way round
    assert [rank.duels for rank in ranking(ARMS[:2], votes).ranks] == [1, 1]
    found = reviewers_agreement(votes)
    assert (found.pictures, found.reviewers) == (1, 4)
    assert found.alpha == pytest.approx(0)
    with pytest.raises(ValueError, match="not in the tournament"):
        ranking(ARMS[:1], votes)


def test_pairs_are_chosen_where_the_order_is_open_and_pictures_differ() -> None:
    random = np.random.RandomState(2)
    pictures = {arm: {("p", seed): sha(arm.step, seed) for seed in range(40)} for arm in ARMS[:4]}
    pictures[ARMS[3]] = pictures[ARMS[2]]  # two files that are the same
    settled = drawn([4.0, -4.0, 0.0], 20, random)
    ranked = ranking(ARMS[:4], settled)
    offered = list(next_duels(ranked, pictures, settled, "a", 1))
    assert {frozenset((each.left.step, each.right.step)) for each in offered}.isdisjoint(
        {frozenset((1, 2)), frozenset((3, 4))}
    )
    assert offered == list(next_duels(ranked, pictures, settled, "a", 1))
    first = ranking(ARMS[:4], [])
    judged = [duel(ARMS[0], ARMS[1], number, "equal") for number in range(40)]
    again = next_duels(first, pictures, judged, "a", 1)
    assert (1, 2) not in [(each.left.step, each.right.step) for each in again]


def test_a_measure_is_set_beside_the_people() -> None:
    ranked = ranking(ARMS, drawn([2.0, 1.2, 0.4, -0.4, -1.2, -2.0], 10, np.random.RandomState(3)))
    values = {arm: -float(arm.step) for arm in ARMS}
    values[ARMS[0]], values[ARMS[1]] = values[ARMS[1]], values[ARMS[0]]
    found = with_people("effect", values, ranked)
    assert found.rho == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert found.low is not None
    assert found.low < found.rho < found.high  # type: ignore[operator]
    assert with_people("effect", dict.fromkeys(ARMS, 1.0), ranked).rho is None
    few = with_people("effect", {arm: values[arm] for arm in ARMS[:4]}, ranked)
    assert (few.low, few.arms) == (None, 4)
