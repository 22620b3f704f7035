"""The halving keeps the best arm, spends less on the others, and says the same again."""

from __future__ import annotations

import numpy as np
import pytest

from studio.trials.halving import Goal, RacingRule, race
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.statistics import Resampling
from tests.support.simulated_trials import simulated

QUICK = Resampling(seed=3, draws=100)
TRUTH = {500: 0.0, 1000: 0.1, 1500: 0.2, 2000: 0.3, 2500: 0.25, 3000: 0.05}
BEST = 2000


def run(random: int) -> tuple[bool, int]:
    """Whether the best arm is still in at the end, and how many seeds all arms had together."""
    every = simulated(TRUTH, len(RULE.seeds), noise=0.1, random=random)
    end = race(arms_of(every), every, RULE, len(RULE.seeds))
    spent = sum(RULE.rounds[each.round - 1] for each in end.out)
    last = max((each.round for each in end.out), default=0)
    rounds = RULE.rounds[last - 1] if len(end.inside) == 1 else len(RULE.seeds)
    return BEST in [arm.step for arm in end.inside], spent + rounds * len(end.inside)


def arms_of(observations: list[Observation]) -> list[TrialArm]:
    return sorted({each.arm for each in observations}, key=lambda arm: arm.step)


RULE = RacingRule(goals=(Goal(measure="effect"),), seeds=tuple(range(12)), resampling=QUICK)


def test_the_best_arm_is_kept_and_pictures_are_saved() -> None:
    kept, spent = 0, []
    for random in range(100):
        still, seeds = run(random)
        kept += still
        spent.append(seeds)
    assert kept >= 95
    assert np.mean(spent) < 0.8 * len(TRUTH) * len(RULE.seeds)


def test_a_decision_is_the_same_again_and_never_changes_with_later_pictures() -> None:
    every = simulated(TRUTH, 12, noise=0.05)
    arms = arms_of(every)
    first = race(arms, [each for each in every if each.seed < 3], RULE, 3)
    assert first.out
    assert first == race(arms, every, RULE, 3)
    later = race(arms, every, RULE, 6)
    assert later.out[: len(first.out)] == first.out
    assert first.seeds == RULE.seeds[:6]
    assert all(each.round == 1 and each.differences for each in first.out)


def test_a_fixed_design_has_one_round() -> None:
    fixed = RULE.model_copy(update={"first": 12})
    assert fixed.rounds == (12,)
    assert RULE.rounds == (3, 6, 12)
    arms = [TrialArm(checkpoint="1", step=1, strength=1.0)]
    assert race(arms, [], fixed, 0).seeds == fixed.seeds


def test_equal_pictures_race_as_one_arm() -> None:
    every = simulated({500: 0.3, 1000: 0.3}, 12)
    twin = TrialArm(checkpoint="again", step=1500, strength=1.0)
    every += [each.model_copy(update={"arm": twin}) for each in every if each.arm.step == 1000]
    arms = arms_of(every)
    end = race(arms, every, RULE, 12)
    assert [(each.arm.step, each.beaten_by.step) for each in end.out] == [(1500, 1000)]
    assert end.over


def test_an_arm_leaves_only_when_one_other_is_better_in_every_goal() -> None:
    """2,000 is the likest and leaks the most; 500 leaks least; 1,000 loses both ways to 1,500."""
    likeness = simulated({500: 0.1, 1000: 0.3, 1500: 0.5, 2000: 0.9}, 6)
    leak = simulated(
        {500: 0.0, 1000: 0.5, 1500: 0.2, 2000: 0.8}, 6, kind=PromptKind.PLAIN, random=1
    )
    rule = RULE.model_copy(
        update={
            "goals": (
                Goal(measure="effect"),
                Goal(measure="effect", kind=PromptKind.PLAIN, more=False),
            ),
            "seeds": tuple(range(6)),
        }
    )
    arms = arms_of(likeness)
    end = race(arms, likeness + leak, rule, 6)
    assert [arm.step for arm in end.inside] == [500, 1500, 2000]
    assert [(each.arm.step, len(each.differences)) for each in end.out] == [(1000, 2)]


def test_a_rule_without_a_goal_is_refused() -> None:
    with pytest.raises(ValueError, match="goals"):
        RacingRule(goals=(), seeds=(1,))
