"""A blind test: the same pairs in another order, sides swapped at random, nothing labelled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from studio.comparison.pairs import Arm, arms_by_seed
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.comparison.votes import BlindVote, Choice

Side = Literal["first", "second", "equal"]
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

    def choice(self, side: Side) -> Choice:
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


def vote(record: ComparisonRecord, test: BlindTest, side: Side, at: str) -> BlindVote:
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
