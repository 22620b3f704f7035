"""Runs on workers: a ``Backend`` whose devices are in other processes, here or elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

import ray

from studio.backends.base import BackendEvent, ClipReader, WorkerStatus
from studio.backends.cluster.carrying import Carrier, RemoteTicket
from studio.backends.cluster.crew import Crew
from studio.backends.cluster.fleet import Remote
from studio.backends.library import LibraryWeights
from studio.backends.routing import Need, WaitingRun, WorkerState, bound, route
from studio.backends.tickets import tell_places
from studio.backends.turns import Turns
from studio.backends.watch import heard
from studio.contract.events import Cancelled, Failed, Job, Loading
from studio.contract.plan import Library, RunPlan, WorkerClass
from studio.engine import Engine
from studio.errors import EngineError, NoWorker, SettingsError, StudioError
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from studio.settings import Settings
from studio.settings.workers import Workers

MOVES = 2
"""How often a run that lost its worker before it had made a picture is given to another."""


class ClusterBackend:
    """Sessions take turns; a run goes where its weights are (``routing``), and has a thread while
    a worker carries it out."""

    def __init__(self, settings: Settings, workers: Workers, weights: LibraryWeights) -> None:
        self._weights = weights
        self._turns: Turns[RemoteTicket] = Turns()
        self._running: dict[str, RemoteTicket] = {}
        self._changed = threading.Condition()
        self._clip = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-clip")
        self._engine = Engine(settings)
        self.crew = Crew(settings, workers, weights, self._changed, self._dispatch)
        self.crew.start()

    @classmethod
    def open(cls, settings: Settings, workers: Workers, weights: LibraryWeights) -> Self:
        """Begins at once to start its workers, or to look for those of the cluster.

        Raises:
            SettingsError: this process has workers already.
        """
        if ray.is_initialized():
            raise SettingsError(
                "This process has workers already.", "Close the other studio in it first."
            )
        return cls(settings, workers, weights)

        # As a Backend

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        """As ``Backend.run``; a run is sent to a worker of the class in its plan, and to another
        only where its worker was lost before a picture came."""
        ticket = RemoteTicket(job, cancel)
        with self._changed:
            if self.crew.is_closing:
                raise EngineError("The studio is closing.", "Start it again.")
            self._turns.add(job.session, ticket)
            self.crew.learn_labels(job.plan)
            self._dispatch()
        try:
            withdraw = partial(self._withdraw, ticket)
            yield from heard(ticket.events, job.run_id, cancel, withdraw)
        finally:
            cancel.set()
            self._withdraw(ticket)

    def release(self, session: str) -> None:
        with self._changed:
            for remote in self.crew.remotes.values():
                if remote.is_ready:
                    remote.actor.release.remote(session)

    def queue_length(self) -> int:
        with self._changed:
            return len(self._turns.order()) + len(self._running)

    def place(self, base: BaseInPlace) -> None:
        raise EngineError(
            f"{base.identity.label} is loaded by the worker that runs it.",
            "Ask for it, or unset GPU_BASES.",
        )

    def gpu_time(self, plan: RunPlan) -> GpuTime | None:  # noqa: ARG002  # it costs nothing
        return None

    def memory_rules(self, base: str | None = None) -> MemoryRules:  # noqa: ARG002  # one class
        """Of the class that plans are resolved for: what its smallest worker has."""
        rules = [each.hello.memory for each in self.crew.of_the_class() if each.hello]
        return min(rules, key=lambda each: (each.budget, each.memory))

    def libraries(self) -> tuple[Library, ...]:
        hello = self.crew.of_the_class()[0].hello
        return hello.libraries if hello else ()

    def worker_class(self) -> WorkerClass | None:
        hello = self.crew.of_the_class()[0].hello
        return hello.worker_class if hello else None

    def workers(self) -> tuple[WorkerStatus, ...]:
        with self._changed:
            return self.crew.statuses()

    def describe_device(self) -> str:
        """For example ``workers: CPU, 1 thread``; not how many, which changes under a page."""
        hello = self.crew.of_the_class()[0].hello
        return f"workers: {hello.device if hello else ''}"

    def clip_model(self, folder: Path) -> ClipReader:
        """Loaded in the studio itself: scores are of pictures that are made."""
        return self._clip.submit(self._engine.clip_model, folder).result()

    def warm_up(self) -> None:
        self.crew.of_the_class()

    def close(self, patience: float | None = None) -> bool:
        deadline = None if patience is None else time.monotonic() + patience
        with self._changed:
            self.crew.stop()
            for ticket in (*self._turns.order(), *self._running.values()):
                ticket.cancel.set()
                self._end(ticket) if self._withdraw(ticket) else None
            while self._running:
                left = None if deadline is None else deadline - time.monotonic()
                if (left is not None and left <= 0) or not self._changed.wait(left):
                    break
            stopped = not self._running
        self._clip.shutdown(wait=False)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self.crew.close(left) and stopped

    # The queue; all of these under the condition

    def _dispatch(self) -> None:
        waiting = {ticket.job.run_id: ticket for ticket in self._turns.order()}
        if self.crew.broken is not None:
            for ticket in waiting.values():
                self._give_up(ticket, self.crew.broken)
            return
        ready = self.crew.ready()
        line = [_waiting(ticket, ready) for ticket in waiting.values()]
        routed = route(line, ready)
        for run_id in routed.jumped:
            waiting[run_id].jumped += 1
        for run_id, name in routed.assigned.items():
            self._send(waiting[run_id], self.crew.remotes[name])
        for run in line:
            if run.run_id not in routed.assigned and not any(s.may_take(run) for s in ready):
                self._demand_worker(waiting[run.run_id])
        tell_places(self._turns, all(not state.is_free for state in ready))

    def _demand_worker(self, ticket: RemoteTicket) -> None:
        """End a run that no worker can take, where none is about to come."""
        if self.crew.may_get_more():
            return
        wanted, said = ticket.job.plan.worker_class, self.crew.problems()
        text = f"There is no worker of the class {wanted.hardware if wanted else 'none'}"
        error = NoWorker(
            f"{text}, which the plan was resolved for{f' ({said})' if said else ''}.",
            "Resolve the request again, or look at the workers with `studio doctor`.",
        )
        self._give_up(ticket, error)

    def _give_up(self, ticket: RemoteTicket, why: StudioError) -> None:
        if self._turns.remove(ticket.job.session, ticket):
            self._fail(ticket, why.code, why.message, why.way_out)

    def _send(self, ticket: RemoteTicket, remote: Remote) -> None:
        self._turns.take(ticket.job.session, ticket)
        self._running[ticket.job.run_id] = ticket
        ticket.sent += 1
        remote.begin(ticket.words, ticket.job.group)
        carrier = Carrier(ticket, remote, self.crew.share, self._weights)
        threading.Thread(
            target=ticket.context.copy().run,
            args=(self._carry, carrier),
            name="studio-run",
            daemon=True,
        ).start()

    def _carry(self, carrier: Carrier) -> None:
        """One sending of a run, in a thread of its own."""
        ticket, remote = carrier.ticket, carrier.remote
        lost = carrier.carry()
        with self._changed:
            del self._running[ticket.job.run_id]
            if lost is not None:
                self.crew.forget(remote, lost)
                self._after_loss(ticket, remote, lost)
            else:
                remote.end(carrier.failed, carrier.resident)
                if carrier.broke_contract:
                    ray.kill(remote.actor)
                    self.crew.forget(remote, "its base no longer gave what it gave when loaded")
                self._end(ticket)
            self._dispatch()
            self._changed.notify_all()

    def _after_loss(self, ticket: RemoteTicket, remote: Remote, why: str) -> None:
        """Moved where no picture came, else failed: what was finished stays."""
        job = ticket.job
        if ticket.cancel.is_set():
            ticket.events.put(Cancelled(job.run_id))
            self._end(ticket)
        elif not ticket.made and len(ticket.moved_from) < MOVES:
            ticket.moved_from += (remote.name,)
            stage = f"Worker {remote.name} was lost ({why}); the run is moved to another"
            ticket.events.put(Loading(job.run_id, stage))
            ticket.ahead = None
            self._turns.put_first(job.session, ticket)
        else:
            count = 1 if job.only is not None else job.plan.count
            kept = f" after {len(ticket.made)} of {count} pictures" if ticket.made else ""
            self._fail(
                ticket,
                "worker_lost",
                f"Worker {remote.name} was lost{kept}: {why}.",
                "What was finished is in the gallery; run it again for the rest.",
            )

    def _fail(self, ticket: RemoteTicket, code: str, message: str, way_out: str) -> None:
        ticket.events.put(Failed(ticket.job.run_id, code, message, way_out))
        self._end(ticket)

    def _end(self, ticket: RemoteTicket) -> None:
        ticket.events.put(None)

    def _withdraw(self, ticket: RemoteTicket) -> bool:
        """Take a waiting run out; False if it is not waiting (any more)."""
        with self._changed:
            taken = self._turns.remove(ticket.job.session, ticket)
            if taken:
                tell_places(self._turns, bool(self._running))
            return taken


def _waiting(ticket: RemoteTicket, ready: Sequence[WorkerState]) -> WaitingRun:
    job = ticket.job
    run = WaitingRun(
        job.run_id,
        Need.of(job.plan),
        None if job.only is not None else job.plan.class_key or "",
        jumped=ticket.jumped,
    )
    return run if job.group is None else bound(run, job.group, ready)
