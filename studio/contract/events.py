"""What a backend is asked to do, and what the run says while it goes: each event once, upwards."""

from dataclasses import dataclass
from pathlib import Path

from studio.contract.base import Contract
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for the device; ``ahead`` runs come first."""

    run_id: str
    ahead: int


@dataclass(frozen=True, slots=True)
class Loading:
    """A stage before the first step, in words a person reads."""

    run_id: str
    stage: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A finished step (1-based) of image ``index`` (0-based).

    ``preview`` is a small PNG of the picture so far, or None where a step makes none.
    """

    run_id: str
    index: int
    count: int
    step: int
    steps: int
    preview: bytes | None


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing was heard of a stage for so many seconds; the run goes on."""

    run_id: str
    stage: str
    seconds: int

    @property
    def line(self) -> str:
        return f"{self.stage}: no progress for {self.seconds} s"


@dataclass(frozen=True, slots=True)
class Finished:
    """One image is saved: where, and the record that lies inside it."""

    run_id: str
    index: int
    count: int
    path: Path
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was stopped on request; images finished before stay in the gallery."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The run broke: a stable code, what happened and the way out."""

    run_id: str
    code: str
    message: str
    way_out: str


Event = Queued | Loading | Progress | Stalled | Finished | Cancelled | Failed


class Job(Contract):
    """One plan to execute. Its weights and pictures are named by their SHA-256, never by a place.

    Attributes:
        session: whose run it is; LoRAs stay resident until no session needs them.
        previews: whether pictures are shown while they are made.
        only: make this picture (0-based) of the plan's, and none of the others.
        group: runs that prove one another, such as the cells of a comparison and its controls:
            where there are several workers, all of a group run on one; None is no group.
    """

    run_id: str
    session: str
    plan: RunPlan
    previews: bool = True
    only: int | None = None
    group: str | None = None
