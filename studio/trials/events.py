"""What a trial says while it runs."""

from dataclasses import dataclass
from enum import StrEnum

from studio.contract.events import Loading, Progress, Queued, Stalled
from studio.trials.design import TrialCell
from studio.trials.store import CellResult, Round


class TrialEnd(StrEnum):
    """Why a trial makes no more pictures."""

    DECIDED = "decided"
    """One arm is left."""
    SEEDS = "seeds"
    """Every seed was used."""
    IMAGES = "images"
    """The next seed would not fit into the budget."""
    MINUTES = "minutes"
    FAILURES = "failures"
    """Several pictures in a row could not be made."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CellBegun:
    """How far the picture in progress is; ``done`` of ``total`` are made, ``total`` being those
    of this round."""

    cell: TrialCell
    done: int
    total: int
    event: Queued | Loading | Progress | Stalled


@dataclass(frozen=True, slots=True)
class CellOver:
    """A picture is there, or is not to be had."""

    result: CellResult
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class RoundOver:
    round: Round
    inside: int
    """Arms that are still in."""


@dataclass(frozen=True, slots=True)
class TrialEnded:
    name: str
    why: TrialEnd
    pictures: int


TrialEvent = CellBegun | CellOver | RoundOver | TrialEnded
