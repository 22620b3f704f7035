"""Runs on this machine: one device, one queue, sessions take turns."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from studio.backends.worker import BackendEvent, Executes, Verify, work
from studio.contract.events import Cancelled, Queued
from studio.engine import Job
from studio.engine.job import EitherEvent
from studio.errors import EngineError

_END = object()
_LOOK_AGAIN = 0.1
"""Seconds between two looks at the cancel event of a run."""
PATIENCE = 1.0
"""Seconds in which a cancelled run may say itself how it ended; then its reader goes on."""


@dataclass(slots=True, eq=False)
class _Ticket:
    job: Job
    cancel: EitherEvent
    events: queue.SimpleQueue[BackendEvent | object] = field(default_factory=queue.SimpleQueue)
    ahead: int | None = None


class LocalBackend:
    """FIFO within a session, round robin between sessions, one run at a time.

    Args:
        engine: executes a job; one device.
        verify: checks the job's weights on disk before each run.
    """

    def __init__(self, engine: Executes, verify: Verify) -> None:
        self._engine = engine
        self._verify = verify
        self._turns: dict[str, deque[_Ticket]] = {}
        self._running: _Ticket | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="studio-worker", daemon=True)
        self._thread.start()

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        """Queue the job and yield what happens: ``Queued`` whenever its place changes, then
        the engine's events, and at the end nothing, ``Cancelled`` or ``Failed``.

        Setting ``cancel`` or closing the iterator takes a waiting run out of the queue and
        stops a running one within a step. Where a step takes longer than PATIENCE, the reader
        hears ``Cancelled`` at once and nothing after it; the device is free once the step ends.

        Raises:
            EngineError: the backend is closed.
        """
        ticket = _Ticket(job, EitherEvent(cancel))
        self._enqueue(ticket)
        try:
            yield from self._heard(ticket)
        finally:
            ticket.cancel.set()
            self._withdraw(ticket)

    def _heard(self, ticket: _Ticket) -> Iterator[BackendEvent]:
        given_up: float | None = None
        while True:
            try:
                event = ticket.events.get(timeout=_LOOK_AGAIN)
            except queue.Empty:
                if not ticket.cancel.is_set():
                    continue
                now = time.monotonic()
                given_up = given_up or now + PATIENCE
                if self._withdraw(ticket) or now > given_up:
                    yield Cancelled(ticket.job.run_id)
                    return
                continue
            if event is _END:
                return
            yield event  # type: ignore[misc]  # all but _END are BackendEvents

    def queue_length(self) -> int:
        """Runs waiting or running."""
        with self._changed:
            return len(self._order()) + (self._running is not None)

    def close(self, patience: float | None = None) -> bool:
        """Cancel everything, and wait for the run in progress to stop.

        Args:
            patience: seconds to wait at most; None waits for as long as it takes.

        Returns:
            whether it has stopped.
        """
        with self._changed:
            self._closed = True
            for ticket in (*self._order(), *filter(None, (self._running,))):
                ticket.cancel.set()
            self._changed.notify_all()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _enqueue(self, ticket: _Ticket) -> None:
        with self._changed:
            if self._closed:
                raise EngineError("The studio is closing.", "Start it again.")
            self._turns.setdefault(ticket.job.session, deque()).append(ticket)
            self._tell_places()
            self._changed.notify_all()

    def _withdraw(self, ticket: _Ticket) -> bool:
        """Take a waiting ticket out; False if it is not waiting (any more)."""
        with self._changed:
            line = self._turns.get(ticket.job.session)
            if line is None or ticket not in line:
                return False
            line.remove(ticket)
            if not line:
                del self._turns[ticket.job.session]
            self._tell_places()
            return True

    def _order(self) -> list[_Ticket]:
        """The waiting tickets in the order in which they will run."""
        lines = [list(line) for line in self._turns.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]

    def _tell_places(self) -> None:
        busy = self._running is not None
        for place, ticket in enumerate(self._order()):
            if ticket.ahead != place + busy:
                ticket.ahead = place + busy
                ticket.events.put(Queued(ticket.job.run_id, ticket.ahead))

    def _take(self) -> _Ticket | None:
        """Wait for the next ticket; None when the backend closes."""
        with self._changed:
            self._running = None
            self._tell_places()
            while not self._turns and not self._closed:
                self._changed.wait()
            if not self._turns:
                return None
            session, line = next(iter(self._turns.items()))
            ticket = line.popleft()
            # To the end of the round: the other sessions are next.
            del self._turns[session]
            if line:
                self._turns[session] = line
            self._running = ticket
            self._tell_places()
            return ticket

    def _serve(self) -> None:
        while (ticket := self._take()) is not None:
            work(self._engine, self._verify, ticket.job, ticket.cancel, ticket.events.put)
            ticket.events.put(_END)
