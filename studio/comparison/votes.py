"""Blind votes: which of two unlabelled pictures somebody preferred, and what it adds up to."""

from collections.abc import Iterable
from typing import Literal

from studio.comparison.interval import clopper_pearson
from studio.contract import Contract

VOTE_SCHEMA = 1
CONFIDENCE = 0.95

Choice = Literal["left", "right", "equal"]


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


class Tally(Contract):
    """Votes on one pair of arms.

    Attributes:
        share_low, share_high: exact 95 % interval of the share that prefers the right arm,
            among those who preferred one.
    """

    left: int
    right: int
    equal: int
    share_low: float
    share_high: float

    @property
    def decided(self) -> int:
        return self.left + self.right


def tally(votes: Iterable[BlindVote]) -> Tally:
    """Count votes on pairs of the same two arms; ties stand beside the interval.

    A pair counts once in each sitting, by the last vote on it there.
    """
    counts = {"left": 0, "right": 0, "equal": 0}
    last = {(vote.test, vote.left, vote.right): vote for vote in votes}
    for vote in last.values():
        counts[vote.choice] += 1
    low, high = clopper_pearson(counts["right"], counts["left"] + counts["right"], CONFIDENCE)
    return Tally(**counts, share_low=low, share_high=high)


def conclusion(counted: Tally, left: str, right: str) -> str:
    """The tally in a sentence that claims no more than the interval does."""
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
