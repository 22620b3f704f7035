"""An owner's runs as values: what stands in its line, and how far each is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from enum import Enum

from studio.comparison.axes import ComparisonPlan
from studio.comparison.events import CellWorking, Compared, ComparisonEvent, NothingCompared
from studio.comparison.replay import NotReplayed, Replayed, ReplayWanted
from studio.contract.events import Cancelled, Event, Failed, Loading, Progress, Queued, Stalled
from studio.contract.plan import RunPlan
from studio.errors import NoSuchRun, QueueFull
from studio.settings import Settings
from studio.trials.design import TrialDesign
from studio.trials.events import CellBegun, TrialEnd, TrialEnded, TrialEvent
from studio.workspace.visitors import Visitor

Plan = RunPlan | ComparisonPlan | ReplayWanted | TrialDesign
"""What an entry of a line carries out."""
AnyEvent = Event | ComparisonEvent | Replayed | NotReplayed | TrialEvent
Passing = Queued | Loading | Progress | Stalled | CellWorking | CellBegun
"""What only tells how far a run is: of it, the latest is kept."""
Work = Callable[[str, threading.Event], Generator[AnyEvent, None, None]]
"""Runs in a workspace session until its end, or until the event is set."""

KEPT = 50
"""Entries of a line that are over and can be looked at; the oldest go."""


class RunState(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self not in (RunState.WAITING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked for at once.

    Attributes:
        per_client: entries of each client that run or wait.
        in_all: of everybody.
        alone: seconds after which the runs of an owner who is gone are cancelled; None for never.
    """

    per_client: int = 200
    in_all: int = 200
    alone: float | None = None


STRANGERS = Limits(per_client=3, in_all=60, alone=60.0)
"""On a page that everybody can open."""


def limits_of(settings: Settings) -> Limits:
    if not settings.is_public:
        return Limits()
    return replace(STRANGERS, per_client=settings.visitors.runs)


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry as it stands.

    Attributes:
        ahead: entries of its own line that come before it.
        latest: how far it is; None where it has said nothing yet.
        results: everything else it said, in order: pictures, cells, how it ended.
    """

    run_id: str
    plan: Plan
    state: RunState
    ahead: int
    latest: Passing | None
    results: tuple[AnyEvent, ...]


@dataclass(slots=True, eq=False)
class LineEntry:
    run_id: str
    plan: Plan
    client: str
    work: Work
    visitor: Visitor | None
    state: RunState = RunState.WAITING
    latest: Passing | None = None
    results: list[AnyEvent] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)
    context: Context = field(default_factory=copy_context)
    """Where it was asked for: a GPU that is lent by the second is lent to whoever asks."""

    def say(self, event: AnyEvent) -> None:
        """Take in what its work says."""
        if isinstance(event, Passing):
            self.latest = event
        else:
            self.latest = None
            self.results.append(event)
            self.state = ended_by(event, self.state)

    def stop(self) -> bool:
        """Cancel it; one that waits is over at once. False where it was over."""
        if self.state.is_over:
            return False
        self.cancel.set()
        if self.state is RunState.WAITING:
            self.say(Cancelled(self.run_id))
        return True


@dataclass(slots=True, eq=False)
class Line:
    session: str | None = None
    heard: float = 0.0
    entries: list[LineEntry] = field(default_factory=list)
    serving: bool = False

    @property
    def live(self) -> list[LineEntry]:
        return [entry for entry in self.entries if not entry.state.is_over]

    @property
    def next(self) -> LineEntry | None:
        """What is to be carried out first of what waits."""
        return next((each for each in self.entries if each.state is RunState.WAITING), None)

    def standing(self, entry: LineEntry) -> Standing:
        return Standing(
            entry.run_id,
            entry.plan,
            entry.state,
            self.ahead_of(entry),
            entry.latest,
            tuple(entry.results),
        )

    def ahead_of(self, entry: LineEntry) -> int:
        """Entries that come before it; 0 where it does not wait."""
        return self.live.index(entry) if entry.state is RunState.WAITING else 0

    def move(self, entry: LineEntry, ahead: int) -> None:
        """Put a waiting entry behind so many waiting ones."""
        self.entries.remove(entry)
        first = sum(each.state is not RunState.WAITING for each in self.entries)
        self.entries.insert(first + max(ahead, 0), entry)

    def forget_old(self) -> None:
        over = [entry for entry in self.entries if entry.state.is_over]
        for entry in over[: max(len(over) - KEPT, 0)]:
            self.entries.remove(entry)


def ended_by(event: AnyEvent, before: RunState) -> RunState:
    """How an entry that said ``event`` has ended, if that was its last word."""
    match event:
        case Failed():
            return RunState.FAILED
        case Cancelled() | Compared(cancelled=True) | NothingCompared(cancelled=True):
            return RunState.CANCELLED
        case TrialEnded(why=TrialEnd.CANCELLED):
            return RunState.CANCELLED
        case NothingCompared() | TrialEnded(why=TrialEnd.FAILURES):
            return RunState.FAILED
        case _:
            return before


def find(lines: Mapping[str, Line], owner: str, run_id: str) -> tuple[Line, LineEntry]:
    """
    Raises:
        NoSuchRun: the owner has none of this name.
    """
    if owner in lines:
        for entry in lines[owner].entries:
            if entry.run_id == run_id:
                return lines[owner], entry
    raise NoSuchRun(run_id)


def demand_room(lines: Iterable[Line], client: str, limits: Limits) -> None:
    """
    Raises:
        QueueFull: the client, or everybody together, has as many entries as there may be.
    """
    clients = [each.client for line in lines for each in line.live]
    own = clients.count(client)
    if own >= limits.per_client:
        raise QueueFull(f"{own} of yours run or wait", "Cancel one, or wait for one.")
    if len(clients) >= limits.in_all:
        raise QueueFull(f"{len(clients)} others run or wait", "Try again in a while.")


def has_turn(lines: Iterable[Line], client: str) -> bool:
    """Whether an entry of a client's other line is being carried out: whoever has several
    browsers has no more turns than others."""
    return any(
        each.client == client and each.state is RunState.RUNNING
        for line in lines
        for each in line.entries
    )
