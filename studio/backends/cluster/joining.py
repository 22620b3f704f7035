"""A worker of this machine in a cluster: ``studio worker --join``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from studio.backends.cluster import fleet
from studio.backends.cluster.fleet import Remote
from studio.backends.cluster.node import NAMESPACE, RayNode
from studio.errors import WorkerError
from studio.settings import Settings

LOOK = 0.5


def stay(
    settings: Settings,
    address: str,
    name: str,
    say: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Be a worker of the cluster at ``address`` until ``stop``, and again where it is lost.

    Args:
        name: what heads call it; no other worker of the cluster has it.
        say: a line about how it goes.

    Raises:
        WorkerError: there is no such cluster, the name is taken, or the worker cannot run.
    """
    node = RayNode.connected(address, cores=1)
    remote = Remote(name, None)
    try:
        while not stop.is_set() and not remote.is_given_up:
            if remote.actor is None:
                _make(remote, settings)
                say(f"Worker {name} gets ready")
            known = remote.hello
            why = fleet.listen(remote, (remote,))
            if why is not None:
                say(f"Worker {name} was lost: {why}")
                remote.strikes += 1
                remote.actor = remote.greeting = remote.life = remote.hello = None
            elif remote.hello is not None and known is None:
                say(f"Worker {name} is ready: {remote.hello.worker_class.hardware}")
                remote.strikes = 0
            stop.wait(LOOK)
        if remote.is_given_up:
            raise WorkerError(
                f"The worker cannot run. {remote.problem or 'It was lost again and again.'}",
                "Look at the device and the library with `studio doctor` on this machine.",
            )
    finally:
        if remote.actor is not None:
            ray.kill(remote.actor)
        ray.shutdown()
        if node is not None:
            node.close()


def _make(remote: Remote, settings: Settings) -> None:
    here = ray.get_runtime_context().get_node_id()
    try:
        remote.actor = fleet.make(
            settings,
            os.cpu_count() or 1,
            name=f"{fleet.PREFIX}{remote.name}",
            namespace=NAMESPACE,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )
    except ValueError as error:
        raise WorkerError(
            f"The cluster has a worker {remote.name!r} already.", "Choose another --name."
        ) from error
    fleet.greet(remote)
