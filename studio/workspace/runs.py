"""Runs that belong to the studio: whoever asked may leave, come back and find them.

Each owner has a line of entries, which run one after another; the lines take turns on the
device. An owner is whoever knows its key: a page keeps a secret in its browser, so that a reload
or another tab finds the same line.
"""

import threading
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from contextvars import Context
from functools import partial

from studio.comparison.axes import ComparisonPlan
from studio.contract.events import Cancelled, Queued
from studio.contract.plan import RunPlan
from studio.errors import NoSuchRun, StudioError
from studio.workspace.line import (
    AnyEvent,
    Limits,
    Line,
    LineEntry,
    Plan,
    RunState,
    Standing,
    demand_room,
    find,
    has_turn,
    limits_of,
)
from studio.workspace.line_work import errors_said, use_case_of
from studio.workspace.workspace import Workspace

LISTENS = 1.0
"""Seconds between two signs of whoever watches."""
REST = 600.0
"""Seconds after which the LoRAs that only an idle line used are let go."""
IDLE = 24 * 3600.0
"""Seconds after which a line where nothing runs or waits is forgotten, unless it is asked for."""


class Runs:
    """The lines of all owners; safe for several threads.

    Args:
        limits: those of ``STRANGERS`` where strangers can ask.
    """

    def __init__(self, workspace: Workspace, limits: Limits | None = None) -> None:
        self._workspace = workspace
        self.limits = limits or limits_of(workspace.settings)
        self._lines: dict[str, Line] = {}
        self._changed = threading.Condition()
        self._closed = threading.Event()
        workspace.before_close(self.close)
        threading.Thread(target=self._look_after, name="studio-runs", daemon=True).start()

    def submit(
        self,
        owner: str,
        plan: Plan,
        client: str = "",
        previews: bool = True,
        fresh: bool = False,
    ) -> str:
        """Put a run, a comparison, a replay or a trial that was begun at the end of the owner's
        line; returns its name.

        Args:
            client: who is counted, where one may have several owners' keys; the owner if empty.
            previews: of a run; ``fresh``: of a comparison, as ``Comparing.run``.

        Raises:
            QueueFull: the client, or everybody together, has as many entries as there may be.
            TrialError: the trial is not there.
        """
        work = use_case_of(self._workspace, plan, previews, fresh)
        visitor = self._workspace.visitors.current()
        entry = LineEntry(uuid.uuid4().hex[:12], plan, client or owner, work, visitor)
        with self._changed:
            if self._closed.is_set():
                raise StudioError("The studio is closing.", "Start it again.")
            demand_room(self._lines.values(), entry.client, self.limits)
            line = self._lines.setdefault(owner, Line())
            line.heard = time.monotonic()
            line.entries.append(entry)
            line.forget_old()
            if not line.serving:
                line.serving = True
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()
            self._changed.notify_all()
        return entry.run_id

    def of(self, owner: str) -> tuple[Standing, ...]:
        """The owner's entries: what is over, what runs, what waits, in their order."""
        with self._changed:
            line = self._lines.get(owner)
            if line is None:
                return ()
            line.heard = time.monotonic()
            return tuple(line.standing(each) for each in line.entries)

    def watch(self, owner: str, run_id: str) -> Iterator[AnyEvent]:
        """What an entry has said so far, its latest word, and then what it says until its end.

        Leaving changes nothing. A slow reader misses steps, and no result.

        Raises:
            NoSuchRun
        """
        told, latest, ahead = 0, None, None
        with self._changed:
            line, entry = find(self._lines, owner, run_id)
        while True:
            with self._changed:
                line.heard = time.monotonic()
                fresh: list[AnyEvent] = entry.results[told:]
                told += len(fresh)
                if entry.latest is not None and entry.latest is not latest:
                    latest = entry.latest
                    fresh.append(latest)
                if entry.state is RunState.WAITING and ahead != line.ahead_of(entry):
                    ahead = line.ahead_of(entry)
                    fresh.append(Queued(run_id, ahead))
                if not fresh and not entry.state.is_over:
                    self._changed.wait(LISTENS)
                    continue
                over = entry.state.is_over
            yield from fresh
            if over and told == len(entry.results):
                return

    def attended(
        self, owner: str, plan: RunPlan | ComparisonPlan, client: str = "", fresh: bool = False
    ) -> Generator[AnyEvent, None, None]:
        """A run that belongs to its reader: it ends when the iterator is closed, and is not found
        again.

        Raises:
            QueueFull
        """
        run_id = self.submit(owner, plan, client, previews=False, fresh=fresh)
        try:
            yield from self.watch(owner, run_id)
        finally:
            self._drop(owner, run_id)

    def cancel(self, owner: str, run_id: str) -> bool:
        """Stop an entry, or take it out where it waits; False where it was over.

        Raises:
            NoSuchRun
        """
        with self._changed:
            _, entry = find(self._lines, owner, run_id)
            stopped = entry.stop()
            self._changed.notify_all()
            return stopped

    def move(self, owner: str, run_id: str, ahead: int) -> None:
        """Put a waiting entry behind so many waiting ones of its line; what runs is not counted.

        Raises:
            NoSuchRun: it does not wait.
        """
        with self._changed:
            line, entry = find(self._lines, owner, run_id)
            if entry.state is not RunState.WAITING:
                raise NoSuchRun(run_id)
            line.move(entry, ahead)
            self._changed.notify_all()

    def forget(self, owner: str, run_id: str) -> None:
        """Drop an entry that is over from its line; its pictures stay in the gallery.

        Raises:
            NoSuchRun: it is not over.
        """
        with self._changed:
            line, entry = find(self._lines, owner, run_id)
            if not entry.state.is_over:
                raise NoSuchRun(run_id)
            line.entries.remove(entry)
            self._changed.notify_all()

    def leave(self, owner: str, patience: float = 0.0) -> bool:
        """The owner is gone for good: cancel its line; whether all of it stopped within
        ``patience`` seconds."""
        with self._changed:
            line = self._lines.pop(owner, None)
            for entry in line.entries if line else ():
                entry.stop()
            self._changed.notify_all()
        if line is not None and line.session is not None:
            self._workspace.close_session(line.session)
        with self._changed:
            return line is None or self._changed.wait_for(lambda: not line.serving, patience)

    def let_go(self, owner: str) -> None:
        """Free what an owner's runs left on the device, unless one goes on."""
        with self._changed:
            line = self._lines.get(owner)
            session = None if line is None or line.live else line.session
            if line is not None and session is not None:
                line.session = None
        if session is not None:
            self._workspace.close_session(session)

    def close(self) -> None:
        """Cancel everything; no more is taken."""
        self._closed.set()
        for owner in list(self._lines):
            self.leave(owner)

    def _drop(self, owner: str, run_id: str) -> None:
        with self._changed:
            try:
                line, entry = find(self._lines, owner, run_id)
            except NoSuchRun:
                return  # its line was left meanwhile
            entry.stop()
            line.entries.remove(entry)
            self._changed.notify_all()
            is_last = not line.entries
        if is_last:
            self.leave(owner)

    # The threads

    def _serve(self, line: Line) -> None:
        """A line's entries one after another, until none waits."""
        while (entry := self._next(line)) is not None:
            entry.context.run(self._carry_out, line, entry)
            entry.context = Context()  # nobody keeps a request that was answered
            with self._changed:
                if not entry.state.is_over:
                    entry.state = RunState.DONE
                entry.latest = None
                self._changed.notify_all()

    def _next(self, line: Line) -> LineEntry | None:
        with self._changed:
            lines = self._lines.values()
            while (entry := line.next) is not None and has_turn(lines, entry.client):
                self._changed.wait()
            if entry is None:
                line.serving = False
            else:
                entry.state = RunState.RUNNING
            self._changed.notify_all()
            return entry

    def _carry_out(self, line: Line, entry: LineEntry) -> None:
        if entry.cancel.is_set():  # between its turn and its start
            self._note(entry, Cancelled(entry.run_id))
            return
        with (
            errors_said(entry.run_id, partial(self._note, entry)),
            self._workspace.visitors.acting(entry.visitor),
            closing(entry.work(self._session(line), entry.cancel)) as events,
        ):
            for event in events:
                self._note(entry, event)

    def _note(self, entry: LineEntry, event: AnyEvent) -> None:
        with self._changed:
            entry.say(event)
            self._changed.notify_all()

    def _look_after(self) -> None:
        alone = IDLE if self.limits.alone is None else self.limits.alone
        while not self._closed.wait(min(LISTENS, alone)):
            now = time.monotonic()
            with self._changed:
                silent = [(o, line) for o, line in self._lines.items() if now - line.heard > alone]
                gone = [o for o, line in silent if self.limits.alone is not None or not line.live]
                rest = [(o, line) for o, line in self._lines.items() if now - line.heard > REST]
                idle = [o for o, line in rest if not line.live]
            for owner in gone:
                self.leave(owner)
            for owner in idle:
                self.let_go(owner)

    def _session(self, line: Line) -> str:
        with self._changed:
            if line.session is None:
                line.session = self._workspace.open_session()
            return line.session
