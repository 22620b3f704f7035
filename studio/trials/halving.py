"""Which arms get more pictures: few seeds for all, more for those that are not yet decided.

In rounds, each with twice the seeds of the one before (the doubling of *successive halving*,
Jamieson and Talwalkar 2016), and an arm leaves when it can be told apart from a better one (the
*racing* of Maron and Moore 1994), never for being in the lower half by chance. What stays cannot
be told apart from the best with the pictures there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from pydantic import Field

from studio.contract.base import Contract, Count
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.samples import Readings, of_arms, samples_of, twins
from studio.trials.statistics import (
    CONFIDENCE,
    FEWEST,
    Direction,
    Interval,
    Resampling,
    difference,
    median,
)


class Goal(Contract):
    """What is wanted: much of a measure on one kind of prompt, or little."""

    measure: str
    kind: PromptKind = PromptKind.TRIGGER
    more: bool = True


class RacingRule(Contract):
    """How a trial spends its pictures; with the observations it gives every round again.

    Attributes:
        goals: an arm leaves when one other arm is better in all of them.
        seeds: of the pictures, in the order in which they are used.
        first: seeds of the first round; with all of ``seeds`` the design is fixed.
        confidence: that the best arm is still there at the end.
    """

    goals: tuple[Goal, ...] = Field(min_length=1)
    seeds: tuple[Count, ...] = Field(min_length=1)
    first: int = Field(default=FEWEST, ge=1)
    confidence: float = Field(default=CONFIDENCE, gt=0.5, lt=1)
    resampling: Resampling = Resampling()

    @property
    def rounds(self) -> tuple[int, ...]:
        """Seeds that an arm has after each round."""
        most = len(self.seeds)
        doubling = (self.first * 2**number for number in range(most.bit_length()))
        return (*takewhile(lambda count: count < most, doubling), most)


class Leaver(Contract):
    """An arm that is decided, with what decided it.

    Attributes:
        round: from 1.
        beaten_by: an arm that is better in every goal, or gave the very same pictures.
        differences: to that arm, one for each goal at its level; none for equal pictures.
    """

    arm: TrialArm
    round: Count
    beaten_by: TrialArm
    differences: tuple[Interval, ...]


class Race(Contract):
    """Where a trial stands.

    Attributes:
        seeds: what the arms that are still in shall have been made with next, in order; nothing
            when it is over.
        inside: the arms that are still in.
    """

    seeds: tuple[Count, ...]
    inside: tuple[TrialArm, ...]
    out: tuple[Leaver, ...]

    @property
    def over(self) -> bool:
        return not self.seeds


def race(
    arms: Sequence[TrialArm], observations: Iterable[Observation], rule: RacingRule, done: int
) -> Race:
    """What comes next, from what is there; the same for the same arguments.

    Each round is decided from the observations of its own seeds, so that a later picture never
    changes an earlier decision. One-sided tests at the level (1 - confidence) / rounds / (arms -
    1) keep the best arm with the rule's confidence (Bonferroni).

    Args:
        done: with how many of the rule's seeds all arms that are still in were tried.
    """
    seen = list(observations)
    inside, out = list(arms), list[Leaver]()
    for number, count in enumerate(rule.rounds, start=1):
        if done < count:
            return Race(seeds=rule.seeds[:count], inside=tuple(inside), out=tuple(out))
        used = set(rule.seeds[:count])
        still = set(inside)
        having = [each for each in seen if each.seed in used and each.arm in still]
        out += _leavers(inside, having, rule, number)
        left = {each.arm for each in out}
        inside = [arm for arm in inside if arm not in left]
        if len(inside) == 1:
            break
    return Race(seeds=(), inside=tuple(inside), out=tuple(out))


def _leavers(
    inside: Sequence[TrialArm], observations: Sequence[Observation], rule: RacingRule, number: int
) -> list[Leaver]:
    again = {
        arm: Leaver(arm=arm, round=number, beaten_by=first, differences=())
        for first, *others in twins(observations)
        for arm in others
    }
    samples = samples_of(observations)
    measured = [of_arms(samples, goal.kind, goal.measure) for goal in rule.goals]
    racing = [arm for arm in inside if arm not in again and all(arm in each for each in measured)]
    if len(racing) < 2:
        return list(again.values())
    level = (1 - rule.confidence) / len(rule.rounds) / (len(racing) - 1)
    leaders = _leaders(racing, measured, rule)
    for arm in racing:
        if arm not in leaders and (beaten := _beaten(arm, leaders, measured, rule, level)):
            by, differences = beaten
            again[arm] = Leaver(arm=arm, round=number, beaten_by=by, differences=differences)
    return list(again.values())


def _leaders(
    racing: Sequence[TrialArm], measured: Sequence[Mapping[TrialArm, Readings]], rule: RacingRule
) -> list[TrialArm]:
    """Those that no other arm beats in every goal, by the medians; with one goal, the best."""
    signs = [1 if goal.more else -1 for goal in rule.goals]
    points = {
        arm: [sign * median(each[arm]) for sign, each in zip(signs, measured, strict=True)]
        for arm in racing
    }
    return [
        arm
        for arm in racing
        if not any(
            all(theirs > mine for theirs, mine in zip(other, points[arm], strict=True))
            for other in points.values()
        )
    ]


def _beaten(
    arm: TrialArm,
    leaders: Sequence[TrialArm],
    measured: Sequence[Mapping[TrialArm, Readings]],
    rule: RacingRule,
    level: float,
) -> tuple[TrialArm, tuple[Interval, ...]] | None:
    """A leader that is surely better in every goal, with the differences to it."""
    for leader in leaders:
        found = []
        for goal, samples in zip(rule.goals, measured, strict=True):
            apart = difference(samples[arm], samples[leader], rule.resampling, 1 - 2 * level)
            worse = Direction.LOWER if goal.more else Direction.HIGHER
            if apart is None or apart.direction is not worse:
                break
            found.append(apart)
        else:
            return leader, tuple(found)
    return None
