"""How fast bytes come, and how long the rest will take."""

import time
from collections import deque
from collections.abc import Callable

from studio.library.downloads.events import Fetching

WINDOW = 5.0
"""Seconds over which the speed is averaged."""
EVERY = 0.2
"""Seconds between two events."""


class Meter:
    """Turns positions into ``Fetching`` events, a few a second.

    Args:
        total: bytes of the whole plan, None where it is not known.
        start: bytes that are there already.
    """

    def __init__(
        self, total: int | None, start: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), start)])
        self._told = float("-inf")

    def at(self, file: str, done: int) -> Fetching | None:
        """The event for this position; None where the last one is too fresh."""
        now = self._clock()
        if done < self._seen[-1][1]:  # begun anew: what came before is no speed
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW and len(self._seen) > 2:
            self._seen.popleft()
        last = self._total is not None and done >= self._total
        if now - self._told < EVERY and not last:
            return None
        self._told = now
        speed = self._speed()
        remaining = None
        if speed and self._total is not None:
            remaining = max(0.0, (self._total - done) / speed)
        return Fetching(file, done, self._total, speed, remaining)

    def _speed(self) -> float | None:
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end - start >= EVERY else None
