"""Blind votes: which of two unlabelled pictures somebody preferred, and what it adds up to."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from studio.comparison.pairs import Arm, arms_by_seed
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.contract.base import Contract, Count, Sha256, Versioned

CONFIDENCE = 0.95

Choice = Literal["left", "right", "equal"]
_MIRRORED: Mapping[Choice, Choice] = {"left": "right", "right": "left", "equal": "equal"}


class BlindVote(Versioned):
    """One pair, judged without knowing which is which.

    Attributes:
        comparison: fingerprint of the comparison's record.
        left, right: fingerprints of the records of the pair's cells, in the comparison's
            order, whatever side of the page they were shown on.
        choice: of that order.
        swapped: whether the left one was shown on the right.
        test: which sitting it belongs to; empty in votes kept before sittings had a name.
        position: of the pair in that sitting, from 0.
    """

    comparison: Sha256
    left: Sha256
    right: Sha256
    choice: Choice
    swapped: bool
    at: str
    test: str = ""
    position: Count = 0

    @property
    def mirrored(self) -> Self:
        """The same vote with the pair's other cell as the left one."""
        turned = {
            "left": self.right,
            "right": self.left,
            "choice": _MIRRORED[self.choice],
            "swapped": not self.swapped,
        }
        return self.model_copy(update=turned)


class Tally(Contract):
    """Votes on one pair of arms.

    Attributes:
        left, right, equal: pairs, by what their votes say.
        votes: how many there are on these pairs, one for each pair and sitting.
        sittings: in how many sittings they were given.
        share_low, share_high: exact 95 % interval of the share that prefers the right arm,
            among the pairs of which one was preferred.
    """

    left: int
    right: int
    equal: int
    votes: int
    sittings: int
    share_low: float
    share_high: float

    @property
    def decided(self) -> int:
        return self.left + self.right

    @property
    def pairs(self) -> int:
        return self.decided + self.equal


def clopper_pearson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Exact interval of the share behind ``successes`` of ``trials``, each tail
    (1 - confidence) / 2: Clopper and Pearson (1934), by quantiles of the beta distribution.
    """
    from scipy.special import betaincinv  # a command that counts no votes need not wait for it

    tail = (1 - confidence) / 2
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return low, high


def tally(votes: Iterable[BlindVote]) -> Tally:
    """Count pairs of the same two arms by the votes on them; ties stand beside the interval.

    In a sitting the last vote on a pair is the one. Over all sittings a pair counts once, by the
    choice of most of its votes: the interval takes what it counts for independent, and votes on
    the same two pictures are not.
    """
    judged: dict[tuple[str, str], dict[str, Choice]] = {}
    for vote in votes:
        judged.setdefault((vote.left, vote.right), {})[vote.test] = vote.choice
    counts = Counter(majority(list(choices.values())) for choices in judged.values())
    left, right = counts["left"], counts["right"]
    low, high = clopper_pearson(right, left + right, CONFIDENCE)
    return Tally(
        left=left,
        right=right,
        equal=counts["equal"],
        votes=sum(len(choices) for choices in judged.values()),
        sittings=len({test for choices in judged.values() for test in choices}),
        share_low=low,
        share_high=high,
    )


def majority(choices: Sequence[Choice]) -> Choice:
    """The choice that leads; equal where none does. There is at least one."""
    (first, count), *others = Counter(choices).most_common()
    return "equal" if others and others[0][1] == count else first


def conclusion(counted: Tally, left: str, right: str) -> str:
    """The tally in sentences that claim no more than the interval does."""
    return " ".join(filter(None, (_conclusion(counted, left, right), _repeated(counted))))


def _conclusion(counted: Tally, left: str, right: str) -> str:
    if counted.decided == 0:
        return "No pair was preferred over the other, so there is no interval."
    share = f"{counted.right} of {counted.decided}"
    bounds = f"{100 * counted.share_low:.0f} % to {100 * counted.share_high:.0f} %"
    said = f"“{right}” was preferred in {share} (95 % interval {bounds}, n = {counted.decided})."
    if counted.share_low > 0.5:
        return f"{said} Chance alone does not explain it."
    if counted.share_high < 0.5:
        return f"{said} Chance alone does not explain that “{left}” won."
    return f"{said} Chance alone could explain it."


def _repeated(counted: Tally) -> str:
    if counted.votes == counted.pairs:
        return ""
    pairs = "1 pair" if counted.pairs == 1 else f"{counted.pairs} pairs"
    return (
        f"There are {counted.votes} votes on {pairs} in {counted.sittings} sittings; a pair "
        "counts once, by the choice of most of its votes."
    )


ShownSide = Literal["first", "second", "equal"]
"""Which of the two that are shown: the first is on the left, or above on a narrow page."""


@dataclass(frozen=True, slots=True)
class BlindPair:
    """Two cells (0-based, in the comparison's order), and whether they are shown swapped."""

    left: int
    right: int
    swapped: bool

    @property
    def shown(self) -> tuple[int, int]:
        return (self.right, self.left) if self.swapped else (self.left, self.right)

    def choice(self, side: ShownSide) -> Choice:
        """What a pick of a side of the page means."""
        if side == "equal":
            return "equal"
        return "left" if (side == "first") is not self.swapped else "right"


@dataclass(frozen=True, slots=True)
class BlindTest:
    """Pairs of two arms still to be judged, in the order in which they are shown."""

    name: str
    test: str
    arms: tuple[Arm, Arm]
    pairs: tuple[BlindPair, ...]
    position: int = 0

    @property
    def over(self) -> bool:
        return self.position >= len(self.pairs)


def in_order(record: ComparisonRecord, arms: tuple[Arm, Arm]) -> tuple[Arm, Arm]:
    """The two arms as the comparison has them, whichever was named first.

    Raises:
        ValueError: one of them is none of its arms.
    """
    one, other = sorted(arms, key=list(arms_by_seed(record)).index)
    return one, other


def prepare(
    name: str,
    test: str,
    record: ComparisonRecord,
    arms: tuple[Arm, Arm],
    shuffled: Callable[[Sequence[tuple[int, int]]], Sequence[tuple[int, int]]],
    coin: Callable[[], bool],
) -> BlindTest:
    """The test of two arms, in any order, over every seed that has both; ``test`` names this
    sitting, and chance comes from the caller.

    Raises:
        ValueError: the comparison is invalid, or no seed has both arms.
    """
    if record.validity.verdict is Verdict.INVALID:
        raise ValueError(
            "This comparison is invalid, so votes on it would mean nothing. Run it again."
        )
    first, second = in_order(record, arms)
    cells = arms_by_seed(record)
    left, right = cells[first], cells[second]
    there = [
        (left[seed], right[seed])
        for seed in left
        if seed in right
        and record.cells[left[seed]].picture is not None
        and record.cells[right[seed]].picture is not None
    ]
    if not there:
        raise ValueError("No seed has a picture of both arms. Choose others, or finish the cells.")
    pairs = tuple(BlindPair(one, other, coin()) for one, other in shuffled(there))
    return BlindTest(name, test, (first, second), pairs)


def vote(record: ComparisonRecord, test: BlindTest, side: ShownSide, at: str) -> BlindVote:
    """The pick of ``side`` for the pair that is shown, bound to the records of both cells.

    Raises:
        ValueError: a cell has no picture.
    """
    pair = test.pairs[test.position]
    left = record.cells[pair.left].record_fingerprint
    right = record.cells[pair.right].record_fingerprint
    if left is None or right is None:
        raise ValueError("a pair without both pictures cannot be judged")
    return BlindVote(
        comparison=record.fingerprint,
        left=left,
        right=right,
        choice=pair.choice(side),
        swapped=pair.swapped,
        at=at,
        test=test.test,
        position=test.position,
    )


def votes_between(
    record: ComparisonRecord, arms: tuple[Arm, Arm], votes: Sequence[BlindVote]
) -> list[BlindVote]:
    """The votes on pairs of these two arms, in any order, each turned to the comparison's order:
    votes were once kept in the order in which the arms were chosen.

    Raises:
        ValueError: one of the arms is none of the comparison's.
    """
    first, second = in_order(record, arms)
    cells = arms_by_seed(record)
    pairs = {
        (
            record.cells[one].record_fingerprint,
            record.cells[cells[second][seed]].record_fingerprint,
        )
        for seed, one in cells[first].items()
        if seed in cells[second]
    }
    turned = (each if (each.left, each.right) in pairs else each.mirrored for each in votes)
    return [each for each in turned if (each.left, each.right) in pairs]
