"""A day of many sessions on some workers, simulated: who asks for what, and where it runs.

Katz (Li et al., USENIX ATC 2025) is the pattern: its trace has about 550,000 requests of two
services over 20 days, with thousands of LoRAs, few of which are asked for often. The trace itself
is not used. What is drawn has that kind of popularity (assumed: Zipf's law over ``LORAS`` LoRAs,
one to three of them in a request). That a session asks several times for one set before it takes
another is how this studio is used, and assumed too; ``burst`` says how often.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from studio.backends.routing import (
    Need,
    Routed,
    WaitingRun,
    WorkerState,
    loading_seconds,
    route,
)
from studio.backends.turns import Turns

LORAS = 4500
"""As many as Katz plots the popularity of."""
BASES = (("a", 7e9, 0.7), ("b", 7e9, 0.2), ("c", 12e9, 0.1))
"""Name, bytes, share of the sessions."""
LORA_BYTES = (20e6, 650e6)
PICTURE = (3.0, 9.0)
"""Seconds of a picture once everything is there."""


@dataclass(frozen=True, slots=True)
class Asked:
    run_id: str
    session: str
    need: Need
    seconds: float


def trace(
    runs: int, sessions: int, seed: int, zipf: float = 1.0, burst: float = 8.0
) -> list[list[Asked]]:
    """What each session asks for, in its order."""
    draw = random.Random(seed)
    weights = [1 / rank**zipf for rank in range(1, LORAS + 1)]
    sizes = [draw.uniform(*LORA_BYTES) for _ in range(LORAS)]
    lines = []
    for session in range(sessions):
        (base,) = draw.choices(BASES, [share for *_, share in BASES])
        need, line = None, []
        for number in range(runs // sessions):
            if need is None or draw.random() < 1 / burst:
                (many,) = draw.choices((1, 2, 3), (0.6, 0.25, 0.15))
                chosen = {f"{base[0]}-{n}": int(sizes[n]) for n in _some(draw, weights, many)}
                need = Need(base[0], int(base[1]), chosen)
            line.append(Asked(f"{session}-{number}", str(session), need, draw.uniform(*PICTURE)))
        lines.append(line)
    return lines


def _some(draw: random.Random, weights: list[float], many: int) -> set[int]:
    found: set[int] = set()
    while len(found) < many:
        found.update(draw.choices(range(LORAS), weights))
    return found


@dataclass(slots=True)
class Simulated:
    """A worker whose memory is full after ``room`` LoRAs, the least recently used going first."""

    name: str
    room: int
    bases: int = 2
    until: float = 0.0
    memory: OrderedDict[str, OrderedDict[str, None]] = field(default_factory=OrderedDict)

    def state(self, now: float) -> WorkerState:
        resident = {base: frozenset(loras) for base, loras in self.memory.items()}
        return WorkerState(self.name, "class", resident, max(0.0, self.until - now))

    def load(self, need: Need) -> None:
        loras = self.memory.setdefault(need.base, OrderedDict())
        self.memory.move_to_end(need.base)
        for sha256 in need.loras:
            loras[sha256] = None
            loras.move_to_end(sha256)
        while len(self.memory) > self.bases:
            self.memory.popitem(last=False)
        while sum(map(len, self.memory.values())) > self.room:
            oldest = next(held for held in self.memory.values() if held)
            oldest.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a day.

    Attributes:
        seconds: until the last run was done, and ``working`` those of pictures alone, in all.
        hits: runs that found all their weights resident; ``possible``: those whose weights were,
            as their turn came, resident in any worker.
        jumped: how often a run was passed, at most.
        waits: session → seconds until its mean run began.
        ends: when each run was done.
    """

    runs: int
    seconds: float
    working: float
    hits: int
    possible: int
    jumped: int
    waits: Mapping[str, float]
    ends: tuple[float, ...]

    @property
    def per_minute(self) -> float:
        return 60 * self.runs / self.seconds


def simulate(
    lines: list[list[Asked]], workers: int, room: int = 40, by_affinity: bool = True
) -> Outcome:
    """Every session has two runs in the line at any time, until it has asked for all."""
    pool = [Simulated(f"w{number}", room) for number in range(workers)]
    day = _Day(pool, lines)
    while day.running or day.turns:
        day.assign(by_affinity)
        day.finish_one()
    return day.outcome()


class _Day:
    def __init__(self, pool: list[Simulated], lines: list[list[Asked]]) -> None:
        self.now = 0.0
        self.turns: Turns[Asked] = Turns()
        self.running: list[tuple[float, int, Asked]] = []
        self._pool = {worker.name: worker for worker in pool}
        self._asking: Mapping[str, Iterator[Asked]] = {
            line[0].session: iter(line) for line in lines
        }
        self._working = sum(asked.seconds for line in lines for asked in line)
        self._runs = sum(map(len, lines))
        self._since: dict[str, float] = {}
        self._waits: dict[str, list[float]] = {}
        self._jumped: dict[str, int] = {}
        self._ends: list[float] = []
        self._hits = self._possible = self._most = 0
        self._number = itertools.count()
        for session in itertools.chain(self._asking, self._asking):
            self._ask(session)

    def _ask(self, session: str) -> None:
        asked = next(self._asking[session], None)
        if asked is not None:
            self._since[asked.run_id] = self.now
            self.turns.add(session, asked)

    def assign(self, by_affinity: bool) -> None:
        waiting = {asked.run_id: asked for asked in self.turns.order()}
        states = [worker.state(self.now) for worker in self._pool.values()]
        line = [
            WaitingRun(run_id, asked.need, jumped=self._jumped.get(run_id, 0))
            for run_id, asked in waiting.items()
        ]
        routed = route(line, states) if by_affinity else _in_turn(line, states)
        for run_id in routed.jumped:
            self._jumped[run_id] = self._jumped.get(run_id, 0) + 1
            self._most = max(self._most, self._jumped[run_id])
        for run_id, name in routed.assigned.items():
            self._start(waiting[run_id], name, states)

    def _start(self, asked: Asked, name: str, states: list[WorkerState]) -> None:
        self.turns.take(asked.session, asked)
        self._waits.setdefault(asked.session, []).append(self.now - self._since[asked.run_id])
        needed = {state.name: loading_seconds(asked.need, state) for state in states}
        self._possible += any(seconds == 0 for seconds in needed.values())
        self._hits += needed[name] == 0
        worker = self._pool[name]
        worker.load(asked.need)
        worker.until = self.now + needed[name] + asked.seconds
        heapq.heappush(self.running, (worker.until, next(self._number), asked))

    def finish_one(self) -> None:
        self.now, _, asked = heapq.heappop(self.running)
        self._ends.append(self.now)
        self._ask(asked.session)

    def outcome(self) -> Outcome:
        waits = {session: sum(each) / len(each) for session, each in self._waits.items()}
        return Outcome(
            self._runs,
            self.now,
            self._working,
            self._hits,
            self._possible,
            self._most,
            waits,
            tuple(self._ends),
        )


def _in_turn(line: list[WaitingRun], states: list[WorkerState]) -> Routed:
    """To compare with: the next run to the next free worker."""
    free = [state.name for state in states if state.is_free]
    return Routed({run.run_id: name for run, name in zip(line, free, strict=False)}, ())


def without_loading(outcome: Outcome, workers: int) -> Outcome:
    """The same day where every picture finds what it needs: what no router can exceed."""
    return replace(outcome, seconds=outcome.working / workers)
