"""Runs on this machine: one device, one thread that touches it, sessions take turns."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Self

from studio.backends.base import BackendEvent, ClipReader, Weights, WorkerStatus
from studio.backends.libraries import installed_libraries
from studio.backends.tickets import Ticket, tell_places
from studio.backends.turns import Turns
from studio.backends.watch import heard
from studio.backends.worker import work
from studio.contract.events import Job
from studio.contract.plan import Library, RunPlan
from studio.engine import Engine
from studio.errors import EngineError
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from studio.settings import Settings


class LocalBackend:
    """FIFO within a session, round robin between sessions, one run at a time; a ``Backend``.

    The executor lends the device its thread, which ends with the interpreter. Each run that is
    queued gives it one turn, and whose turn it is is decided when the thread is free.

    Args:
        engine: executes a job; one device.
        weights: finds and proves the job's files on this machine.
    """

    def __init__(self, engine: Engine, weights: Weights) -> None:
        self._engine = engine
        self._weights = weights
        self._device = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-device")
        self._turns: Turns[Ticket] = Turns()
        self._running: Ticket | None = None
        self._last: Future[None] | None = None
        self._lock = threading.Lock()
        self._libraries = installed_libraries()
        self._memory: MemoryRules | None = None

    @classmethod
    def open(cls, settings: Settings, weights: Weights) -> Self:
        """One with an engine of its own; torch comes with the first use."""
        return cls(Engine(settings), weights)

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        """As ``Backend.run``; a running job stops within a step, or is interrupted in it.

        Where it hears neither, inside a call into C, the reader hears ``Cancelled`` after PATIENCE
        and nothing after it; the device is free once the call returns.
        """
        ticket = Ticket(job, cancel)
        self._enqueue(ticket)
        try:
            withdraw = partial(self._withdraw, ticket)
            yield from heard(ticket.events, job.run_id, cancel, withdraw)
        finally:
            cancel.set()
            self._withdraw(ticket)

    def queue_length(self) -> int:
        with self._lock:
            return len(self._turns.order()) + (self._running is not None)

    def release(self, session: str) -> None:
        with self._lock:
            if self._last is None:
                self._device.submit(self._engine.release, session)

    def place(self, base: BaseInPlace) -> None:
        raise EngineError(
            f"{base.identity.label} is loaded when it is asked for.",
            "Ask for it, or unset GPU_BASES.",
        )

    def gpu_time(self, plan: RunPlan) -> GpuTime | None:  # noqa: ARG002  # it costs nothing
        return None

    def memory_rules(self, base: str | None = None) -> MemoryRules:  # noqa: ARG002  # one device
        if self._memory is None:
            self._memory = self._engine.memory_rules()
        return self._memory

    def libraries(self) -> tuple[Library, ...]:
        return self._libraries

    def worker_class(self) -> None:
        return None

    def workers(self) -> tuple[WorkerStatus, ...]:
        return ()

    def describe_device(self) -> str:
        return self._engine.describe_device()

    def clip_model(self, folder: Path) -> ClipReader:
        return self._device.submit(self._engine.clip_model, folder).result()

    def warm_up(self) -> None:
        self._device.submit(self._engine.warm_up).result()

    def close(self, patience: float | None = None) -> bool:
        with self._lock:
            for ticket in (*self._turns.order(), *filter(None, (self._running,))):
                ticket.cancel.set()
            if self._last is None:
                # Waiting runs are not dropped but end at once, cancelled, so that no reader hangs.
                self._last = self._device.submit(lambda: None)
                self._device.shutdown(wait=False)
        stopped = bool(wait((self._last,), patience).done)
        if stopped:
            self._device.shutdown(wait=True)  # its thread has nothing left to do but end
        return stopped

    def _enqueue(self, ticket: Ticket) -> None:
        with self._lock:
            if self._last is not None:
                raise EngineError("The studio is closing.", "Start it again.")
            self._turns.add(ticket.job.session, ticket)
            self._tell_places()
            self._device.submit(self._serve)

    def _withdraw(self, ticket: Ticket) -> bool:
        """Take a waiting ticket out; False if it is not waiting (any more)."""
        with self._lock:
            taken = self._turns.remove(ticket.job.session, ticket)
            if taken:
                self._tell_places()
            return taken

    def _tell_places(self) -> None:
        tell_places(self._turns, self._running is not None)

    def _serve(self) -> None:
        """One turn on the device's thread; nothing where the run it was for was taken out."""
        ticket = self._next()
        if ticket is None:
            return
        job, cancel = ticket.job, ticket.cancel
        ticket.context.run(work, self._engine, self._weights, job, cancel, ticket.events.put)
        with self._lock:
            self._running = None
            self._tell_places()
        ticket.events.put(None)

    def _next(self) -> Ticket | None:
        with self._lock:
            if not self._turns:
                return None
            ticket = self._turns.order()[0]
            self._turns.take(ticket.job.session, ticket)
            self._running = ticket
            self._tell_places()
            return ticket
