"""Which waiting run goes to which free worker: pure functions over values.

A run is cheapest where its base and LoRAs are resident. It goes to the worker where loading what
is missing, and waiting for the worker, take least together; so it waits for a busy worker that
has its weights for as long as loading them elsewhere would take, and no longer. Meanwhile a run
behind it may take a free worker that has all of its own weights: it jumps the line, which happens
to no run more than ``JUMPS`` times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from studio.contract.plan import RunPlan

JUMPS = 16
"""Runs that may pass a waiting one, because their weights are resident where a worker is free."""
BYTES_PER_SECOND = 0.5e9
"""Weights read, matched and proven in a second: a guess in the middle of what disks give."""


@dataclass(frozen=True, slots=True)
class Need:
    """What must be resident for a run.

    Attributes:
        base: SHA-256, and ``size`` its bytes.
        loras: SHA-256 → bytes.
    """

    base: str
    size: int
    loras: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: RunPlan) -> Need:
        size = sum(file.size for file in plan.base.files)
        return cls(plan.base.sha256, size, {use.sha256: use.size for use in plan.loras})


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run in the line.

    Attributes:
        worker_class: fingerprint of the class its plan was resolved for; None takes any.
        only_on: name of the one worker that may take it; None where any of its class may.
        not_on: names of workers that may not.
        jumped: how often a run behind it went first.
    """

    run_id: str
    need: Need
    worker_class: str | None = None
    only_on: str | None = None
    not_on: frozenset[str] = frozenset()
    jumped: int = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as the head knows it.

    Attributes:
        resident: SHA-256 of each base in its memory → those of the LoRAs in it.
        free_in: seconds until it takes a run, as expected; 0 where it is free now.
        groups: of runs, that belong to it.
    """

    name: str
    worker_class: str
    resident: Mapping[str, frozenset[str]] = field(default_factory=dict)
    free_in: float = 0.0
    groups: Collection[str] = ()

    @property
    def is_free(self) -> bool:
        return self.free_in == 0

    @property
    def residents(self) -> int:
        return len(self.resident) + sum(map(len, self.resident.values()))

    def may_take(self, run: WaitingRun) -> bool:
        if run.only_on is not None and run.only_on != self.name:
            return False
        return run.worker_class in (None, self.worker_class) and self.name not in run.not_on


@dataclass(frozen=True, slots=True)
class Routed:
    """``assigned``: run → worker, by name; ``jumped``: the runs that others passed this time, once
    for each of them."""

    assigned: Mapping[str, str]
    jumped: tuple[str, ...]


def share_of(group: str, number: int) -> str:
    """The name of a share of a group: each stays on one worker, and the shares of one group go to
    different workers where there are as many."""
    return f"{group}/{number}"


def has_share(worker_groups: Collection[str], group: str) -> bool:
    """Whether another share of the same whole is among ``worker_groups``."""
    whole = group.partition("/")[0]
    return any(each != group and each.partition("/")[0] == whole for each in worker_groups)


def bound(run: WaitingRun, group: str, workers: Sequence[WorkerState]) -> WaitingRun:
    """``run`` where its group belongs; one that belongs nowhere yet keeps away from the other
    shares of its whole, unless they have every worker that may take it."""
    home = next((each.name for each in workers if group in each.groups), None)
    able = [each for each in workers if each.may_take(run)]
    taken = {each.name for each in able if has_share(each.groups, group)}
    apart = frozenset(taken if len(taken) < len(able) else ())
    return replace(run, only_on=home, not_on=frozenset() if home else apart)


def loading_seconds(need: Need, worker: WorkerState) -> float:
    """Seconds to load what of ``need`` is not resident in ``worker``."""
    loras = worker.resident.get(need.base)
    missing = sum(size for sha256, size in need.loras.items() if sha256 not in (loras or ()))
    return (missing + (need.size if loras is None else 0)) / BYTES_PER_SECOND


def route(line: Sequence[WaitingRun], workers: Sequence[WorkerState]) -> Routed:
    """Give free workers to waiting runs.

    Args:
        line: in the order of their turns.
    """
    free = {worker.name: worker for worker in workers if worker.is_free}
    assigned: dict[str, str] = {}
    jumped: Counter[str] = Counter()
    for give in (_due, _warm, _cheapest):
        for place, run in enumerate(line):
            if not free:
                break
            if run.run_id in assigned:
                continue
            worker = give(run, workers, free)
            if worker is None:
                continue
            before = [
                each
                for each in line[:place]
                if each.run_id not in assigned and worker.may_take(each)
            ]
            if any(each.jumped + jumped[each.run_id] >= JUMPS for each in before):
                continue
            assigned[run.run_id] = worker.name
            del free[worker.name]
            jumped.update(each.run_id for each in before)
    return Routed(
        assigned, tuple(run_id for run_id in jumped.elements() if run_id not in assigned)
    )


Free = Mapping[str, WorkerState]


def _due(run: WaitingRun, _: Sequence[WorkerState], free: Free) -> WorkerState | None:
    """Runs that were passed often enough take what is free."""
    return None if run.jumped < JUMPS else _now(run, free)


def _warm(run: WaitingRun, _: Sequence[WorkerState], free: Free) -> WorkerState | None:
    """Runs whose weights are resident where a worker is free go there."""
    now = _now(run, free)
    return now if now is not None and loading_seconds(run.need, now) == 0 else None


def _cheapest(run: WaitingRun, workers: Sequence[WorkerState], free: Free) -> WorkerState | None:
    """The others load what they miss, where no busy worker has it sooner."""
    now = _now(run, free)
    if now is None:
        return None
    busy = (each for each in workers if each.may_take(run) and not each.is_free)
    later = min((_rank(run, each)[0] for each in busy), default=None)
    return now if later is None or _rank(run, now)[0] <= later else None


def _now(run: WaitingRun, free: Free) -> WorkerState | None:
    able = (worker for worker in free.values() if worker.may_take(run))
    return min(able, key=lambda worker: _rank(run, worker), default=None)


def _rank(run: WaitingRun, worker: WorkerState) -> tuple[float, int, str]:
    seconds = loading_seconds(run.need, worker) + worker.free_in
    return seconds, worker.residents, worker.name
