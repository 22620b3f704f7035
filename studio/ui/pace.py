"""The pace of long work: when its progress is drawn, and how long the rest of it takes."""

import math
import time

from studio.contract.base import in_time

DRAWN_EVERY = 0.15
"""Seconds between two drawings of a progress."""


class Pace:
    """How long the rest of long work takes, by what of it is done."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._drawn = -math.inf

    def is_due(self) -> bool:
        """Whether the progress is drawn again; a page cannot follow dozens of steps a second."""
        now = time.monotonic()
        due = now - self._drawn >= DRAWN_EVERY
        if due:
            self._drawn = now
        return due

    def left(self, done: float, total: float) -> str:
        """In words; empty until it has moved."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        start, before = self._first
        if done <= before:
            return ""
        return f"about {in_time((now - start) / (done - before) * (total - done))} left"
