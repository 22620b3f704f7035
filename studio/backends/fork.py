"""One run in a fork of this process, as what it says.

No thread of the parent is in a fork: the run gets one of its own there.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from studio.backends.base import BackendEvent
from studio.backends.worker import guard
from studio.engine import Engine, LocalJob

BEAT = 0.25
"""Seconds of silence after which a fork says that it is there: only then does it hear."""


@dataclass(frozen=True, slots=True)
class ForkReady:
    """A fork begins a run.

    Attributes:
        fresh: whether it is its first.
        since: seconds since it was forked, in which the weights of a fresh one went to the GPU.
    """

    pid: int
    fresh: bool
    since: float


FromFork = BackendEvent | ForkReady | None
"""What comes from a fork; None where a run says nothing for a while."""


class Fork:
    """What is carried into each fork.

    Args:
        engine: with its bases placed; what a fork loads besides lives as long as it does.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._forked = 0.0
        self._runs = 0
        os.register_at_fork(after_in_child=self._note)

    def _note(self) -> None:
        self._forked, self._runs = time.monotonic(), 0

    def run(self, job: LocalJob, _seconds: int) -> Generator[FromFork, None, None]:
        """Carry a job out; closing the generator ends it within a step, and waits for that.

        Args:
            _seconds: for whoever lends the GPU.
        """
        self._runs += 1
        yield ForkReady(os.getpid(), self._runs == 1, time.monotonic() - self._forked)
        events: queue.SimpleQueue[BackendEvent | None] = queue.SimpleQueue()
        cancel = threading.Event()

        def work() -> None:
            guard(job, cancel, events.put, lambda tell: self._engine.run(job, cancel, tell))
            events.put(None)

        thread = threading.Thread(target=work, name="studio-fork")
        thread.start()
        try:
            yield from _beating(events)
        finally:
            cancel.set()
            thread.join()


def _beating(events: queue.SimpleQueue[BackendEvent | None]) -> Iterator[FromFork]:
    while True:
        try:
            event = events.get(timeout=BEAT)
        except queue.Empty:
            yield None
            continue
        if event is None:
            return
        yield event
