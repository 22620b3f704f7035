"""Runs on workers: a ``Backend`` whose devices are in other processes, here or elsewhere."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import ray

from studio.backends.base import BackendEvent, ClipReader, WorkerStatus
from studio.backends.cluster import fleet
from studio.backends.cluster.carrying import Carrier
from studio.backends.cluster.fleet import Remote
from studio.backends.cluster.node import RayNode, connect
from studio.backends.cluster.share import WeightShare
from studio.backends.library import LibraryWeights
from studio.backends.routing import Need, WaitingRun, route
from studio.backends.tickets import Ticket, tell_places
from studio.backends.turns import Turns
from studio.backends.watch import heard
from studio.contract.events import Cancelled, Failed, Job, Loading
from studio.contract.plan import Library, RunPlan, WorkerClass
from studio.engine import Engine
from studio.errors import DeviceError, EngineError, SettingsError, WorkerError
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from studio.settings import Settings, Workers

LOOK = 0.2
"""Seconds between two looks at who came and who went."""
MOVES = 2
"""How often a run that lost its worker before it had made a picture is given to another."""
GROUPS = 512
"""Groups of runs whose worker is remembered."""

logger = logging.getLogger("studio.backends.cluster")


@dataclass(slots=True, eq=False)
class RemoteTicket(Ticket):
    """A run that workers carry out.

    Attributes:
        sent: how often it was sent to a worker.
        moved_from: workers that were lost with it, before it had made a picture.
        made: the pictures that came (0-based).
        jumped: as in ``WaitingRun``.
    """

    sent: int = 0
    moved_from: tuple[str, ...] = ()
    made: set[int] = field(default_factory=set)
    jumped: int = 0

    @property
    def delivery(self) -> str:
        return f"{self.job.run_id}/{self.sent}"

    @property
    def words(self) -> str:
        plan = self.job.plan
        return ", ".join((plan.base.label, *(use.label for use in plan.loras)))


class ClusterBackend:
    """Sessions take turns; a run goes where its weights are (``routing``).

    One thread looks after the workers, which Ray's processes end with; each run has one while a
    worker carries it out.
    """

    def __init__(self, settings: Settings, workers: Workers, weights: LibraryWeights) -> None:
        self._settings = settings
        self._wanted = workers
        self._weights = weights
        self._turns: Turns[RemoteTicket] = Turns()
        self._running: dict[str, RemoteTicket] = {}
        self._remotes = fleet.local_remotes(workers.devices)
        self._groups: OrderedDict[str, Remote] = OrderedDict()
        self._labels: dict[str, str] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._broken: WorkerError | None = None
        self._node: RayNode | None = None
        self._share: WeightShare | None = None
        self._looked = False
        self._clip = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-clip")
        self._engine = Engine(settings)
        self._cores = max(1, (os.cpu_count() or 1) // max(1, len(workers.devices)))
        self._manager = threading.Thread(target=self._manage, name="studio-workers", daemon=True)
        self._manager.start()

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
            if self._closing.is_set():
                raise EngineError("The studio is closing.", "Start it again.")
            self._turns.add(job.session, ticket)
            self._remember_labels(job.plan)
            self._dispatch()
        try:
            withdraw = partial(self._withdraw, ticket)
            yield from heard(ticket.events, job.run_id, cancel, withdraw)
        finally:
            cancel.set()
            self._withdraw(ticket)

    def release(self, session: str) -> None:
        with self._changed:
            for remote in self._remotes.values():
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
        rules = [each.hello.memory for each in self._of_the_class() if each.hello]
        return min(rules, key=lambda each: (each.budget, each.memory))

    def libraries(self) -> tuple[Library, ...]:
        hello = self._of_the_class()[0].hello
        return hello.libraries if hello else ()

    def worker_class(self) -> WorkerClass | None:
        hello = self._of_the_class()[0].hello
        return hello.worker_class if hello else None

    def workers(self) -> tuple[WorkerStatus, ...]:
        with self._changed:
            planned = self._planned()
            return tuple(self._status(each, planned) for each in self._remotes.values())

    def describe_device(self) -> str:
        """For example ``2 workers: CPU, 1 thread``."""
        same = self._of_the_class()
        said = same[0].hello.device if same[0].hello else ""
        return f"{len(same)} worker{'' if len(same) == 1 else 's'}: {said}"

    def clip_model(self, folder: Path) -> ClipReader:
        """Loaded in the studio itself: scores are of pictures that are made."""
        return self._clip.submit(self._engine.clip_model, folder).result()

    def warm_up(self) -> None:
        self._of_the_class()

    def close(self, patience: float | None = None) -> bool:
        deadline = None if patience is None else time.monotonic() + patience
        with self._changed:
            self._closing.set()
            for ticket in (*self._turns.order(), *self._running.values()):
                ticket.cancel.set()
                self._end(ticket) if self._withdraw(ticket) else None
            while self._running:
                left = None if deadline is None else deadline - time.monotonic()
                if (left is not None and left <= 0) or not self._changed.wait(left):
                    break
            stopped = not self._running
        self._clip.shutdown(wait=False)
        self._manager.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return stopped and not self._manager.is_alive()

    # The workers; all of these in the manager's thread

    def _manage(self) -> None:
        try:
            self._start()
        except WorkerError as error:
            self._break(error)
        except Exception as error:
            # The thread's boundary: what Ray met while it started is why there are no workers.
            logger.exception("Ray could not be started.")
            text = f"The workers could not be started: {type(error).__name__}."
            self._break(WorkerError(text, "See the log; WORKERS=none runs plans here."))
        else:
            asked = 0.0
            while not self._closing.wait(LOOK):
                if self._wanted.address is not None and time.monotonic() - asked > 2:
                    self._look_for_joined()
                    self._looked, asked = True, time.monotonic()
                self._look()
        finally:
            self._stop()

    def _start(self) -> None:
        cores = max(os.cpu_count() or 1, len(self._wanted.devices))
        if self._wanted.address is None:
            self._node = RayNode.for_local_workers(cores)
            connect(self._node.address)
        else:
            self._node = RayNode.connected(self._wanted.address, cores=0)
        host = "127.0.0.1" if self._wanted.address is None else ray.util.get_node_ip_address()
        self._share = WeightShare(host, self._weights)

    def _break(self, error: WorkerError) -> None:
        with self._changed:
            self._broken = error
            for ticket in self._turns.order():
                if self._turns.remove(ticket.job.session, ticket):
                    self._fail(ticket, error.code, error.message, error.way_out)
            self._changed.notify_all()

    def _stop(self) -> None:
        self._closing.wait()
        deadline = time.monotonic() + 5.0
        with self._changed:
            while self._running and time.monotonic() < deadline:
                self._changed.wait(0.1)
        if self._share is not None:
            self._share.close()
        if ray.is_initialized():
            for remote in self._remotes.values():
                if remote.device is not None and remote.actor is not None:
                    ray.kill(remote.actor)
            ray.shutdown()
        if self._node is not None:
            self._node.close()

    def _look_for_joined(self) -> None:
        found = fleet.joined()
        with self._changed:
            for name, actor in found.items():
                known = self._remotes.get(name)
                if known is None or known.actor is None:
                    remote = known or Remote(name, None)
                    remote.actor = actor
                    fleet.greet(remote)
                    self._remotes[name] = remote

    def _look(self) -> None:
        with self._changed:
            remotes = list(self._remotes.values())
            for remote in remotes:
                if remote.actor is None and remote.device and not remote.is_given_up:
                    fleet.start(remote, self._settings, self._cores)
                if remote.actor is None or remote.refused:
                    continue
                known = remote.hello
                why = fleet.listen(remote, remotes)
                if why is not None and not remote.running:
                    self._forget(remote, why)
                elif remote.hello is not known:
                    self._changed.notify_all()
            self._dispatch()

    def _forget(self, remote: Remote, why: str) -> None:
        """A worker is gone, and what was in its memory; a local one is made again."""
        logger.warning("worker %s is lost: %s", remote.name, why)
        remote.problem = why
        remote.strikes += 1
        remote.actor = remote.greeting = remote.life = remote.hello = None
        remote.resident, remote.running = {}, ""
        for group in [key for key, each in self._groups.items() if each is remote]:
            del self._groups[group]
        self._changed.notify_all()

    # The queue; all of these under the condition

    def _dispatch(self) -> None:
        if self._broken is not None:
            self._break(self._broken)
            return
        now = time.monotonic()
        ready = [each.state(now) for each in self._remotes.values() if each.is_ready]
        waiting = {ticket.job.run_id: ticket for ticket in self._turns.order()}
        line = [self._waiting(ticket) for ticket in waiting.values()]
        routed = route(line, ready)
        for run_id in routed.jumped:
            waiting[run_id].jumped += 1
        for run_id, name in routed.assigned.items():
            self._send(waiting[run_id], self._remotes[name])
        for run in line:
            if run.run_id not in routed.assigned and not any(s.may_take(run) for s in ready):
                self._give_up(waiting[run.run_id])
        tell_places(self._turns, all(not state.is_free for state in ready))

    def _waiting(self, ticket: RemoteTicket) -> WaitingRun:
        job = ticket.job
        group = self._groups.get(job.group) if job.group else None
        return WaitingRun(
            job.run_id,
            Need.of(job.plan),
            None if job.only is not None else job.plan.class_key or "",
            group.name if group else None,
            jumped=ticket.jumped,
        )

    def _give_up(self, ticket: RemoteTicket) -> None:
        """A run that no worker can take, and none is about to."""
        coming = [each for each in self._remotes.values() if not each.is_given_up]
        if any(each.hello is None for each in coming) or (self._wanted.address and not coming):
            return
        if not self._turns.remove(ticket.job.session, ticket):
            return
        wanted = ticket.job.plan.worker_class
        text = f"There is no worker of the class {wanted.hardware if wanted else 'none'}"
        problems = [f"{each.name}: {each.problem}" for each in self._remotes.values()]
        said = "; ".join(each for each in problems if not each.endswith(": "))
        self._fail(
            ticket,
            "no_worker",
            f"{text}, which the plan was resolved for{f' ({said})' if said else ''}.",
            "Resolve the request again, or look at the workers with `studio doctor`.",
        )

    def _send(self, ticket: RemoteTicket, remote: Remote) -> None:
        self._turns.take(ticket.job.session, ticket)
        self._running[ticket.job.run_id] = ticket
        ticket.sent += 1
        if ticket.job.group:
            self._groups[ticket.job.group] = remote
            while len(self._groups) > GROUPS:
                self._groups.popitem(last=False)
        remote.running, remote.since = ticket.words, time.monotonic()
        assert self._share is not None
        carrier = Carrier(ticket, remote, self._share, self._weights)
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
                self._forget(remote, lost)
                self._after_loss(ticket, remote, lost)
            else:
                remote.seconds.append(time.monotonic() - remote.since)
                remote.running, remote.strikes = "", 0
                if carrier.failed:
                    remote.failed += 1
                else:
                    remote.done += 1
                if carrier.resident is not None:
                    remote.resident = carrier.resident
                if carrier.broke_contract:
                    ray.kill(remote.actor)
                    self._forget(remote, "its base no longer gave what it gave when loaded")
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

    # The class that plans are for

    def _planned(self) -> str | None:
        """The class that most workers are of, in doubt the one that is first by its key."""
        keys = Counter(e.hello.key for e in self._remotes.values() if e.is_ready and e.hello)
        return min(keys, key=lambda key: (-keys[key], key), default=None)

    def _of_the_class(self) -> list[Remote]:
        """The workers that plans are resolved for; waits for the first.

        Raises:
            DeviceError: there are none, and none is about to come.
        """
        with self._changed:
            while (planned := self._planned()) is None:
                remotes = self._remotes.values()
                if self._broken is not None:
                    raise DeviceError(self._broken.message, self._broken.way_out)
                if self._closing.is_set() or (remotes and all(e.is_given_up for e in remotes)):
                    said = "; ".join(f"{e.name}: {e.problem}" for e in remotes)
                    raise DeviceError(
                        f"No worker can be used. {said}", "Look at them with `studio doctor`."
                    )
                if self._wanted.address is not None and not remotes and self._looked:
                    raise DeviceError(
                        "No worker has joined the cluster yet.",
                        f"Start one: studio worker --join {self._wanted.address}",
                    )
                self._changed.wait(1.0)
            return [e for e in self._remotes.values() if e.hello and e.hello.key == planned]

    def _status(self, remote: Remote, planned: str | None) -> WorkerStatus:
        held = [
            self._labels.get(sha256, sha256[:12])
            for base, loras in remote.resident.items()
            for sha256 in (base, *sorted(loras))
        ]
        return WorkerStatus(
            remote.name,
            remote.condition(planned),
            remote.hello.worker_class.hardware if remote.hello else "",
            tuple(held),
            remote.running,
            remote.done,
            remote.failed,
            remote.problem,
        )

    def _remember_labels(self, plan: RunPlan) -> None:
        self._labels[plan.base.sha256] = plan.base.label
        self._labels |= {use.sha256: use.label for use in plan.loras}
