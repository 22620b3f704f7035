"""What a comparison says while it runs, cell by cell."""

from dataclasses import dataclass
from pathlib import Path

from studio.comparison.record import CellError, ComparisonRecord
from studio.contract.events import Loading, Progress, Queued, Stalled
from studio.contract.receipt import RunRecord


@dataclass(frozen=True, slots=True)
class CellWorking:
    """A cell is in the queue, loading or denoising; ``done`` of ``total`` cells are finished."""

    cell: int
    done: int
    total: int
    event: Queued | Loading | Progress | Stalled


@dataclass(frozen=True, slots=True)
class CellDone:
    """A cell's picture is there, made now or found in the gallery."""

    cell: int
    path: Path
    record: RunRecord
    reused: bool


@dataclass(frozen=True, slots=True)
class CellFailed:
    """A cell broke; the others go on."""

    cell: int
    error: CellError


@dataclass(frozen=True, slots=True)
class Compared:
    """The end: the comparison is stored, with whatever cells there are."""

    path: Path
    record: ComparisonRecord
    cancelled: bool


@dataclass(frozen=True, slots=True)
class NothingCompared:
    """The end without a single picture: there is nothing to store."""

    cancelled: bool


ComparisonEvent = CellWorking | CellDone | CellFailed | Compared | NothingCompared
