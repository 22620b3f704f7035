"""All workers of a studio together: made or found, missed when they are gone, and of what class
the next plan is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable

import ray

from studio.backends.base import WorkerStatus
from studio.backends.cluster import fleet
from studio.backends.cluster.fleet import Remote
from studio.backends.cluster.node import RayNode, connect
from studio.backends.cluster.share import WeightShare
from studio.backends.library import LibraryWeights
from studio.backends.routing import WorkerState
from studio.contract.plan import RunPlan
from studio.errors import DeviceError, WorkerError
from studio.settings import Settings
from studio.settings.workers import Workers

LOOK = 0.2
"""Seconds between two looks at who came and who went."""
LAST_RUNS = 5.0
"""Seconds in which cancelled runs may end when the studio closes."""

logger = logging.getLogger("studio.backends.cluster")


class Crew:
    """One thread looks after the workers, which Ray's processes end with.

    Everything but ``close`` is called under ``changed``, or takes it.

    Args:
        changed: notified when a worker is ready, or gone.
        looked: called under it after each look.

    Attributes:
        remotes: the workers by name.
        broken: why there can be none; None while there can.
    """

    def __init__(
        self,
        settings: Settings,
        wanted: Workers,
        weights: LibraryWeights,
        changed: threading.Condition,
        looked: Callable[[], None],
    ) -> None:
        self.remotes = fleet.local_remotes(wanted.devices)
        self.broken: WorkerError | None = None
        self._settings = settings
        self._wanted = wanted
        self._weights = weights
        self._changed = changed
        self._looked = looked
        self._labels: dict[str, str] = {}
        self._closing = threading.Event()
        self._node: RayNode | None = None
        self._share: WeightShare | None = None
        self._has_looked_for_joined = False
        self._cores = max(1, (os.cpu_count() or 1) // max(1, len(wanted.devices)))
        self._thread = threading.Thread(target=self._manage, name="studio-workers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def stop(self) -> None:
        """Begin to close, which ``close`` waits for."""
        self._closing.set()

    def close(self, patience: float | None) -> bool:
        """Wait until the workers and Ray have ended; whether they have."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    # For runs

    @property
    def share(self) -> WeightShare:
        """Where workers get weights from; there is one before there is a worker."""
        assert self._share is not None
        return self._share

    def ready(self) -> list[WorkerState]:
        now = time.monotonic()
        return [each.state(now) for each in self.remotes.values() if each.is_ready]

    def may_get_more(self) -> bool:
        """Whether a worker is about to say what it is, or may still join."""
        coming = [each for each in self.remotes.values() if not each.is_given_up]
        if any(each.hello is None for each in coming):
            return True
        return self._wanted.address is not None and not coming

    def problems(self) -> str:
        """Why workers are lost or refused, in one line."""
        each_of = self.remotes.values()
        return "; ".join(f"{each.name}: {each.problem}" for each in each_of if each.problem)

    def forget(self, remote: Remote, why: str) -> None:
        """A worker is gone, and what was in its memory; a local one is made again."""
        logger.warning("worker %s is lost: %s", remote.name, why)
        remote.problem = why
        remote.strikes += 1
        remote.actor = remote.greeting = remote.life = remote.hello = None
        remote.resident, remote.running = {}, ""
        remote.groups.clear()
        self._changed.notify_all()

    # For people

    def learn_labels(self, plan: RunPlan) -> None:
        """What the weights of a plan are called."""
        self._labels[plan.base.sha256] = plan.base.label
        self._labels |= {use.sha256: use.label for use in plan.loras}

    def statuses(self) -> tuple[WorkerStatus, ...]:
        planned = self._planned()
        return tuple(self._status(each, planned) for each in self.remotes.values())

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

    # The class that plans are for

    def _planned(self) -> str | None:
        """The class that most workers are of, in doubt the one that is first by its key."""
        keys = Counter(e.hello.key for e in self.remotes.values() if e.is_ready and e.hello)
        return min(keys, key=lambda key: (-keys[key], key), default=None)

    def of_the_class(self) -> list[Remote]:
        """The workers that plans are resolved for; waits for the first.

        Raises:
            DeviceError: there are none, and none is about to come.
        """
        with self._changed:
            while (planned := self._planned()) is None:
                self._demand_hope()
                self._changed.wait(1.0)
            return [e for e in self.remotes.values() if e.hello and e.hello.key == planned]

    def _demand_hope(self) -> None:
        remotes = self.remotes.values()
        if self.broken is not None:
            raise DeviceError(self.broken.message, self.broken.way_out)
        if self.is_closing or (remotes and all(each.is_given_up for each in remotes)):
            raise DeviceError(
                f"No worker can be used. {self.problems()}", "Look at them with `studio doctor`."
            )
        if self._has_looked_for_joined and not remotes:
            raise DeviceError(
                "No worker has joined the cluster yet.",
                f"Start one: studio worker --join {self._wanted.address}",
            )

    # In the thread that looks after them

    def _manage(self) -> None:
        try:
            self._start_ray()
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
                    self._has_looked_for_joined, asked = True, time.monotonic()
                self._look()
        finally:
            self._end_ray()

    def _start_ray(self) -> None:
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
            self.broken = error
            self._looked()
            self._changed.notify_all()

    def _end_ray(self) -> None:
        self._closing.wait()
        deadline = time.monotonic() + LAST_RUNS
        with self._changed:
            remotes = list(self.remotes.values())
            while any(each.running for each in remotes) and time.monotonic() < deadline:
                self._changed.wait(0.1)
        if self._share is not None:
            self._share.close()
        if ray.is_initialized():
            for remote in remotes:
                if remote.device is not None and remote.actor is not None:
                    ray.kill(remote.actor)
            ray.shutdown()
        if self._node is not None:
            self._node.close()

    def _look_for_joined(self) -> None:
        found = fleet.joined()
        with self._changed:
            for name, actor in found.items():
                known = self.remotes.get(name)
                if known is None or known.actor is None:
                    remote = known or Remote(name, None)
                    remote.actor = actor
                    fleet.greet(remote)
                    self.remotes[name] = remote

    def _look(self) -> None:
        with self._changed:
            remotes = list(self.remotes.values())
            for remote in remotes:
                if remote.actor is None and remote.device and not remote.is_given_up:
                    fleet.start(remote, self._settings, self._cores)
                if remote.actor is None or remote.refused:
                    continue
                known = remote.hello
                why = fleet.listen(remote, remotes)
                if why is not None and not remote.running:
                    self.forget(remote, why)
                elif remote.hello is not known:
                    self._changed.notify_all()
            self._looked()
