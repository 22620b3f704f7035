"""Everything that a trial's observations say, as numbers: nothing here is a picture or a text."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from studio.contract.base import Contract, Count, added
from studio.contract.request import FinerText
from studio.trials.curves import Knee, OnFront, front, knee, onset
from studio.trials.halving import Goal
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.samples import (
    Readings,
    ReadingsKey,
    counted_once,
    in_order,
    inert,
    of_arms,
    samples_of,
    twins,
)
from studio.trials.statistics import (
    CONFIDENCE,
    Against,
    Interval,
    More,
    Resampling,
    against_the_leader,
    estimate,
    more_pairs,
)

LEAK = Goal(measure="leak", more=False)
"""What a trial of trigger words measures of the effect without them."""
LEAKS = 0.5
"""An arm leaks where more than this share of its effect is there without the trigger words."""
NEAREST = "nearest_training"
MEMORISED = 10
"""Bits of the perceptual hash to the nearest training picture: so near and nearer is an alarm,
where the base's own picture is not as near."""
KNOWN = ("likeness", "clip_text", "leak", NEAREST)
"""Measures that need something of the user's, so that a trial may do without them."""

AlarmCode = Literal["inert", "twins", "leaks", "memorised"]


class ArmNumber(Contract):
    arm: TrialArm
    interval: Interval


class TrialCurve(Contract):
    """A measure over the steps, at one strength and one finer strength."""

    measure: str
    kind: PromptKind
    strength: float
    points: tuple[ArmNumber, ...]
    knee: Knee | None
    finer: FinerText = added(since=5, default="")


class Contender(Contract):
    """An arm against the leader.

    Attributes:
        more: what would tell the two apart, where they cannot be and it can be reckoned.
    """

    arm: TrialArm
    against: Against
    more: More | None


class PlaneArm(Contract):
    """Where an arm lies in the plane of two measures."""

    arm: TrialArm
    good: Interval
    bad: Interval
    on: OnFront


class Plane(Contract):
    good: Goal
    bad: Goal
    arms: tuple[PlaneArm, ...]


class Alarm(Contract):
    """Something that is wrong with some arms.

    Attributes:
        code: ``inert`` (they show the base), ``twins`` (each other), ``leaks`` (more than
            ``LEAKS`` of the effect is there without the trigger words, surely; the first arm of a
            strength from which on that is so), ``memorised`` (pictures near a training picture).
        pictures: how many it is told of.
    """

    code: AlarmCode
    arms: tuple[TrialArm, ...]
    pictures: Count = 0


class Findings(Contract):
    """What there is to say; the same observations, goal and resampling give it again.

    Attributes:
        goal: the measure that arms are ordered by, which is no score of all.
        leader: the best by it; None where nothing has it.
        missing: measures of ``KNOWN`` that were not taken.
        pictures: how many were measured; ``again``: how many of them count with another one.
    """

    goal: Goal
    resampling: Resampling
    confidence: float
    leader: ArmNumber | None
    contenders: tuple[Contender, ...]
    curves: tuple[TrialCurve, ...]
    plane: Plane | None
    alarms: tuple[Alarm, ...]
    missing: tuple[str, ...]
    words_alone: Interval | None = Field(default=None)
    pictures: Count
    again: Count

    @property
    def open(self) -> tuple[Contender, ...]:
        """Those that cannot be told apart from the leader."""
        return tuple(each for each in self.contenders if not each.against.out)

    def numbers(self, measure: str, kind: PromptKind) -> dict[TrialArm, Interval]:
        """A measure's numbers of every arm."""
        return {
            point.arm: point.interval
            for curve in self.curves
            if (curve.measure, curve.kind) == (measure, kind)
            for point in curve.points
        }


def findings(
    observations: Iterable[Observation],
    goal: Goal,
    resampling: Resampling,
    confidence: float = CONFIDENCE,
) -> Findings:
    """
    Raises:
        ValueError: two observations of one picture and measure.
    """
    seen = list(observations)
    samples = samples_of(each for each in seen if not _of_base(each.arm))
    of_base = samples_of(each for each in seen if _of_base(each.arm))
    words = [sample for (_, _, measure), sample in of_base.items() if measure == "trigger_alone"]
    again, dead = twins(seen), inert(seen)
    copies = {arm for group in again for arm in group[1:]}
    leader, contenders = _race(_without(copies, samples), goal, resampling, confidence)
    curves = tuple(_curves(samples, resampling, confidence))
    pictures = {(each.arm, each.kind, each.pair) for each in seen if not _of_base(each.arm)}
    return Findings(
        goal=goal,
        resampling=resampling,
        confidence=confidence,
        leader=leader,
        contenders=contenders,
        curves=curves,
        plane=_plane(_without({*copies, *dead}, samples), goal, resampling, confidence),
        alarms=tuple(_alarms(seen, dead, again, curves)),
        missing=tuple(
            name for name in KNOWN if name not in {measure for _, _, measure in samples}
        ),
        words_alone=estimate(words[0], resampling, confidence) if words else None,
        pictures=len(pictures),
        again=sum(counted_once(seen).values()),
    )


def _without(
    arms: Collection[TrialArm], samples: Mapping[ReadingsKey, Readings]
) -> dict[ReadingsKey, Readings]:
    """Arms with the pictures of an earlier one race as that one; and what shows the base is on
    no front for its lack of leaks."""
    return {key: each for key, each in samples.items() if key[0] not in arms}


def _of_base(arm: TrialArm) -> bool:
    return arm.step == 0 and arm.strength == 0


def _race(
    samples: Mapping[ReadingsKey, Readings],
    goal: Goal,
    resampling: Resampling,
    confidence: float,
) -> tuple[ArmNumber | None, tuple[Contender, ...]]:
    measured = of_arms(samples, goal.kind, goal.measure)
    sign = 1.0 if goal.more else -1.0
    racing = {arm: each.times(sign) for arm, each in measured.items()}
    if not racing:
        return None, ()
    first, others = against_the_leader(racing, resampling, confidence)
    own = estimate(measured[first], resampling, confidence)
    found = tuple(
        Contender(
            arm=arm,
            against=other,
            more=None if other.out else more_pairs(
                racing[first], racing[arm], resampling, confidence),
        )
        for arm, other in others.items()
    )  # fmt: skip
    return None if own is None else ArmNumber(arm=first, interval=own), found


def _curves(
    samples: Mapping[ReadingsKey, Readings], resampling: Resampling, confidence: float
) -> Iterable[TrialCurve]:
    for kind, measure in sorted({(kind, measure) for _, kind, measure in samples}):
        arms = of_arms(samples, kind, measure)
        for strength, finer in sorted({(arm.strength, arm.finer) for arm in arms}):
            at = strength, finer
            line = {arm: each for arm, each in arms.items() if (arm.strength, arm.finer) == at}
            numbers = {arm: estimate(each, resampling, confidence) for arm, each in line.items()}
            yield TrialCurve(
                measure=measure,
                kind=kind,
                strength=strength,
                finer=finer,
                points=tuple(
                    ArmNumber(arm=arm, interval=each)
                    for arm, each in numbers.items()
                    if each is not None
                ),
                knee=knee({arm.step: each for arm, each in line.items()}, resampling, confidence),
            )


def _plane(
    samples: Mapping[ReadingsKey, Readings],
    goal: Goal,
    resampling: Resampling,
    confidence: float,
) -> Plane | None:
    """The goal against the leak; else against the effect on prompts without the trigger words."""
    effects = (Goal(measure="effect", kind=kind, more=False)
               for kind in (PromptKind.PLAIN, PromptKind.FAR))  # fmt: skip
    goods = of_arms(samples, goal.kind, goal.measure) if goal.more else {}
    for bad in (LEAK, *effects):
        bads = of_arms(samples, bad.kind, bad.measure)
        on = front(goods, bads, resampling)
        if on:
            return Plane(
                good=goal,
                bad=bad,
                arms=tuple(
                    PlaneArm(arm=arm, good=good, bad=ill, on=on[arm])
                    for arm in in_order(on)
                    if (good := estimate(goods[arm], resampling, confidence)) is not None
                    and (ill := estimate(bads[arm], resampling, confidence)) is not None
                ),
            )
    return None


def _alarms(
    seen: Sequence[Observation],
    dead: Sequence[TrialArm],
    again: Sequence[tuple[TrialArm, ...]],
    curves: Sequence[TrialCurve],
) -> Iterable[Alarm]:
    if dead:
        yield Alarm(code="inert", arms=tuple(dead), pictures=_pictures(seen, dead))
    for group in again:
        yield Alarm(code="twins", arms=group, pictures=_pictures(seen, group[:1]))
    for curve in curves:
        if (curve.measure, curve.kind) == (LEAK.measure, LEAK.kind):
            lows = {point.arm.step: point.interval.low for point in curve.points}
            first = onset(lows, LEAKS)
            arms = tuple(point.arm for point in curve.points if first is not None
                         and point.arm.step >= first)  # fmt: skip
            if arms:
                yield Alarm(code="leaks", arms=arms, pictures=_pictures(seen, arms))
    near = [
        each
        for each in seen
        if each.measure == NEAREST
        and each.value <= MEMORISED
        and (each.base is None or each.base > MEMORISED)
    ]
    if near:
        arms = tuple(in_order({each.arm for each in near}))
        yield Alarm(code="memorised", arms=arms, pictures=len(near))


def _pictures(seen: Sequence[Observation], arms: Sequence[TrialArm]) -> int:
    wanted = set(arms)
    return len({(each.arm, each.kind, each.pair) for each in seen if each.arm in wanted})
