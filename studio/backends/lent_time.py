"""How many seconds of a GPU a run asks ZeroGPU for, by the pace of earlier ones."""

import math
import threading
from collections import deque
from datetime import timedelta

from studio.comparison.schedule import estimate_seconds
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.resolve.gpu import GpuTime

USUAL = 60
"""Seconds for each picture of a base that was not timed yet, which is what ``spaces`` asks for
where nobody says."""
MARGIN = 1.3
"""What is asked for, as a multiple of what earlier runs took: a task that lasts longer than asked
may be ended."""
REMEMBERED = 50
"""Pictures of each base by which the next one is timed."""


class PastRuns:
    """The runs that had a GPU, by which the next ones are timed; any thread may ask and note."""

    def __init__(self) -> None:
        self._made: dict[str, deque[RunRecord]] = {}
        self._starts: dict[str, float] = {}
        self._lock = threading.Lock()

    def asks_for(self, plan: RunPlan) -> GpuTime:
        """What a run of the plan asks for."""
        with self._lock:
            past = list(self._made.get(plan.base.slug, ()))
            start = self._starts.get(plan.base.slug, 0.0)
        making = estimate_seconds([plan] * plan.count, past)
        if making is None:
            return GpuTime(_sent(USUAL * plan.count), timed=False)
        before = max(_before(record) for record in past)
        return GpuTime(_sent((start + before + making) * MARGIN), timed=True)

    def note_start(self, base: str, seconds: float) -> None:
        """A fresh fork of this base took so long until its run began."""
        with self._lock:
            self._starts[base] = seconds

    def note_made(self, record: RunRecord) -> None:
        """A picture was made."""
        with self._lock:
            slug = record.plan.base.slug
            self._made.setdefault(slug, deque(maxlen=REMEMBERED)).append(record)


def told(seconds: int) -> int:
    """What ``spaces`` is to be told, to ask its service for so many."""
    return math.ceil(seconds / _factor())


def _sent(seconds: float) -> int:
    """What its service is asked for, where so many are needed."""
    return round(told(math.ceil(seconds)) * _factor())


def _before(record: RunRecord) -> float:
    """Seconds before the first step."""
    times = record.receipt.timings
    return times.load + times.loras + times.encode


def _factor() -> float:
    """By which ``spaces`` multiplies what it is told, for the GPU that it finds."""
    from spaces.zero.client import get_duration_seconds

    asked = 600
    return float(get_duration_seconds(timedelta(seconds=asked), None)) / asked
