"""Beside a run on the device's thread: it names what does not move, and ends what does not hear.

A library in its own loop (loading weights, encoding, decoding, a parser) looks at nobody's cancel.
Python can raise an exception in another thread at its next bytecode, which reaches all of them; a
single long call into C it reaches when that returns.
"""

from __future__ import annotations

import ctypes
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

from studio.backends.base import BackendEvent
from studio.contract.events import Cancelled, Loading, Progress, Stalled
from studio.engine import EngineEvent, Interrupted

LOOK_AGAIN = 0.1
"""Seconds between two looks."""
INTERRUPT_AFTER = 1.0
"""Seconds from the cancel until it is forced: most steps end by themselves before."""
PATIENCE = 1.5
"""Seconds in which a cancelled run may say itself how it ended; then its reader goes on."""
QUIET = 30.0
"""Seconds without news after which a stage is named, and again after as many more."""
SLOW = 5
"""A stage is quiet at the earliest after so many times the longest step of its run."""

Tell = Callable[[EngineEvent | Stalled], None]


def heard(
    events: queue.SimpleQueue[BackendEvent | None],
    run_id: str,
    cancel: threading.Event,
    withdraw: Callable[[], bool],
) -> Iterator[BackendEvent]:
    """What another thread says of a run, until its last word, None; ``Cancelled`` where it hears
    no cancel within PATIENCE, or ``withdraw`` has taken it out before it began."""
    given_up: float | None = None
    while True:
        try:
            event = events.get(timeout=LOOK_AGAIN)
        except queue.Empty:
            if not cancel.is_set():
                continue
            now = time.monotonic()
            given_up = given_up or now + PATIENCE
            if withdraw() or now > given_up:
                yield Cancelled(run_id)
                return
            continue
        if event is None:
            return
        yield event


class Watch:
    """Looks after one run while the ``with`` block lasts, in the thread that enters it.

    ``Interrupted`` comes out of the block when a cancel was not heard.
    """

    def __init__(self, run_id: str, cancel: threading.Event, tell: Tell) -> None:
        self._run_id = run_id
        self._cancel = cancel
        self._tell = tell
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._runner: int | None = None
        self._stage = "Checking the weights"
        self._since = self._named = time.monotonic()
        self._longest = 0.0

    def __enter__(self) -> Self:
        self._runner = threading.get_ident()
        threading.Thread(target=self._look, name="studio-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """No interrupt from here on; whoever catches one calls it again, as it may have come at
        the door."""
        while not self._over.is_set():
            with suppress(Interrupted), self._lock:
                if self._runner is not None:
                    _raise_in(self._runner, None)
                self._runner = None
                self._over.set()

    def heard(self, event: EngineEvent) -> None:
        """The run says something: it moves."""
        now = time.monotonic()
        if isinstance(event, Progress):
            self._longest = max(self._longest, now - self._since) if event.step > 1 else 0.0
        with self._lock:
            self._since = self._named = now
            self._stage = _stage_after(event)
        self._tell(event)

    def _look(self) -> None:
        cancelled: float | None = None
        while not self._over.wait(LOOK_AGAIN):
            now = time.monotonic()
            if self._cancel.is_set():
                cancelled = cancelled or now
                if now - cancelled > INTERRUPT_AFTER:
                    self._interrupt()
                    cancelled = now - INTERRUPT_AFTER / 2  # should a library have swallowed it
            else:
                self._name_what_is_quiet(now)

    def _name_what_is_quiet(self, now: float) -> None:
        with self._lock:
            quiet = now - self._named >= max(QUIET, SLOW * self._longest)
            if not quiet or self._runner is None:
                return
            self._named = now
            self._tell(Stalled(self._run_id, self._stage, round(now - self._since)))

    def _interrupt(self) -> None:
        with self._lock:
            # A module that is half imported stays broken for the process.
            if self._runner is not None and not _is_importing(self._runner):
                _raise_in(self._runner, Interrupted)


def _stage_after(event: EngineEvent) -> str:
    if isinstance(event, Loading):
        return event.stage
    if isinstance(event, Progress) and event.step < event.steps:
        return f"Image {event.index + 1}, step {event.step + 1} of {event.steps}"
    if isinstance(event, Progress):
        return f"Decoding image {event.index + 1}"
    return f"Image {event.index + 2}, step 1"


def _is_importing(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise ``kind`` in ``thread`` at its next bytecode; None takes one back in time."""
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
