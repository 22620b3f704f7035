"""A trial with planted faults is told of as it was made."""

from __future__ import annotations

from studio.trials.findings import findings
from studio.trials.halving import Goal
from studio.trials.observations import PromptKind, TrialArm
from studio.trials.statistics import Resampling
from studio.trials.words import arm_name, interval_text, sentences, step_name
from tests.support.simulated_trials import sha, simulated, simulated_card

QUICK = Resampling(seed=1, draws=200)
GOAL = Goal(measure="effect")


def test_each_planted_fault_is_named() -> None:
    found = simulated_card().findings
    alarms = {alarm.code: alarm for alarm in found.alarms}
    assert [arm.step for arm in alarms["inert"].arms] == [500]
    assert [arm.step for arm in alarms["twins"].arms] == [3000, 3500]
    assert [arm.step for arm in alarms["leaks"].arms] == [2500, 3000, 3500]
    assert found.missing == ("likeness", "clip_text", "nearest_training")
    assert found.plane is not None
    assert not {500, 3500} & {each.arm.step for each in found.plane.arms}
    assert found.leader is not None
    assert found.leader.arm.step == 3000
    assert 3500 not in {each.arm.step for each in found.contenders}


def test_a_picture_near_a_training_picture_is_an_alarm_unless_the_base_is_as_near() -> None:
    near = simulated({500: 30.0, 1000: 30.0}, 2, noise=0.1, measure="nearest_training")
    first = near[8].model_copy(update={"value": 4.0, "base": 60.0})
    as_near = near[0].model_copy(update={"value": 4.0, "base": 5.0})
    found = findings([*near[1:8], *near[9:], first, as_near], GOAL, QUICK)
    (alarm,) = found.alarms
    assert (alarm.code, [arm.step for arm in alarm.arms], alarm.pictures) == (
        "memorised", [1000], 1,
    )  # fmt: skip
    assert found.leader is None
    assert found.contenders == ()


def test_what_cannot_be_told_apart_is_said_with_what_would_decide_it() -> None:
    told = findings(simulated({1500: 0.30, 2000: 0.33}, 3, noise=0.06, random=5), GOAL, QUICK)
    (each,) = told.open
    assert each.more is not None
    text = " ".join(sentences(told))
    assert f"cannot be told apart with 12 pairs; {each.more.pairs} more" in text


def test_where_it_cannot_be_reckoned_the_open_arms_are_named_together() -> None:
    truth = {500: 0.3, 1000: 0.3, 1500: 0.31}
    told = findings(simulated(truth, 1, noise=0.05), GOAL, QUICK)
    assert told.leader is not None
    open_ = [each.arm.step for each in told.open]
    assert open_
    assert all(each.more is None for each in told.open)
    (said,) = [text for text in sentences(told) if "cannot be told apart" in text]
    assert all(f"{step:,}" in said for step in open_)


def test_the_base_alone_is_no_arm() -> None:
    base = TrialArm(checkpoint="base", step=0, strength=0.0)
    words = [
        each.model_copy(update={"arm": base, "measure": "trigger_alone", "picture": sha(n)})
        for n, each in enumerate(simulated({500: 0.2}, 3))
    ]
    found = findings([*simulated({500: 0.2, 1000: 0.3}, 3), *words], GOAL, QUICK)
    assert found.words_alone is not None
    assert {point.arm.step for curve in found.curves for point in curve.points} == {500, 1000}
    assert found.pictures == 24


def test_less_of_a_goal_can_be_what_is_wanted() -> None:
    less = Goal(measure="effect", kind=PromptKind.FAR, more=False)
    found = findings(
        simulated({500: 0.1, 1000: 0.4}, 3, noise=0.01, kind=PromptKind.FAR), less, QUICK
    )
    assert found.leader is not None
    assert found.leader.arm.step == 500
    assert found.leader.interval.median > 0
    assert [each.against.out for each in found.contenders] == [True]


def test_names() -> None:
    arm = TrialArm(checkpoint="1500", step=1500, strength=0.8)
    assert (step_name(arm), arm_name(arm)) == ("1,500", "1,500 at 0.8")
    assert step_name(arm.model_copy(update={"checkpoint": "final"})) == "final"
    few = simulated({500: 0.2}, 1, prompts=2)
    (curve,) = findings(few, GOAL, QUICK).curves
    assert "no interval" in interval_text(curve.points[0].interval)
