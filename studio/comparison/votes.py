"""Blind votes: which of two unlabelled pictures somebody preferred, and what it adds up to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

from studio.comparison.interval import clopper_pearson
from studio.contract.base import Contract

VOTE_SCHEMA = 1
CONFIDENCE = 0.95

Choice = Literal["left", "right", "equal"]
_MIRRORED: Mapping[Choice, Choice] = {"left": "right", "right": "left", "equal": "equal"}


class BlindVote(Contract):
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

    schema_version: int = VOTE_SCHEMA
    comparison: str
    left: str
    right: str
    choice: Choice
    swapped: bool
    at: str
    test: str = ""
    position: int = 0

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


def tally(votes: Iterable[BlindVote]) -> Tally:
    """Count pairs of the same two arms by the votes on them; ties stand beside the interval.

    In a sitting the last vote on a pair is the one. Over all sittings a pair counts once, by the
    choice of most of its votes: the interval takes what it counts for independent, and votes on
    the same two pictures are not.
    """
    judged: dict[tuple[str, str], dict[str, Choice]] = {}
    for vote in votes:
        judged.setdefault((vote.left, vote.right), {})[vote.test] = vote.choice
    counts = Counter(_most(list(choices.values())) for choices in judged.values())
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


def _most(choices: Sequence[Choice]) -> Choice:
    """The choice that leads; equal where none does."""
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
