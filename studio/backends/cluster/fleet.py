"""The workers as the head knows them: made, greeted, and missed when they are gone."""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from studio.backends.base import WorkerCondition
from studio.backends.cluster.actor import settings_text, worker_actor
from studio.backends.cluster.node import NAMESPACE, PATIENCE
from studio.backends.cluster.wire import PROTOCOL, Hello
from studio.backends.routing import WorkerState, has_share
from studio.settings import Settings

PREFIX = "worker:"
"""Begins the names of workers that joined by ``studio worker``."""
STRIKES = 3
"""Deaths in a row, without a run that ended between them, after which a worker is given up."""
USUAL = 10.0
"""Seconds a run is thought to take until the worker has ended some."""

GROUPS = 256
"""Groups of runs that are remembered for each worker."""

logger = logging.getLogger("studio.backends.cluster")


@dataclass(slots=True, eq=False)
class Remote:
    """A worker.

    Attributes:
        device: of a local worker, which the head makes and makes again; None for one that joined.
        greeting: its hello on the way; ``life`` ends with an error when it does.
        running: what it does, in words; empty where it is free.
        since: when that began (monotonic).
        seconds: of its last runs.
        groups: of runs, that are bound to it.
    """

    name: str
    device: str | None
    actor: Any = None
    greeting: Any = None
    life: Any = None
    hello: Hello | None = None
    refused: bool = False
    resident: Mapping[str, frozenset[str]] = field(default_factory=dict)
    running: str = ""
    since: float = 0.0
    asked: float = 0.0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=8))
    groups: dict[str, None] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    strikes: int = 0
    problem: str = ""

    @property
    def is_ready(self) -> bool:
        return self.hello is not None and not self.refused

    @property
    def is_given_up(self) -> bool:
        return self.refused or self.strikes >= STRIKES

    def condition(self, planned: str | None) -> WorkerCondition:
        if self.is_given_up:
            return WorkerCondition.REFUSED if self.refused else WorkerCondition.LOST
        if self.hello is None:
            return WorkerCondition.STARTING
        if self.running:
            return WorkerCondition.BUSY
        return WorkerCondition.FREE if self.hello.key == planned else WorkerCondition.IDLE

    def state(self, now: float) -> WorkerState:
        """As the router sees it; it is greeted."""
        assert self.hello is not None
        left = 0.0
        if self.running:
            usual = statistics.median(self.seconds) if self.seconds else USUAL
            gone = now - self.since
            # What lasts longer than usual is thought to last as much longer again.
            left = max(usual - gone, gone - usual, 0.05)
        return WorkerState(self.name, self.hello.key, self.resident, left, self.groups)

    def begin(self, words: str, group: str | None) -> None:
        """A run is sent to it, and binds its group; but not one whose other share is bound to it
        already, which moves on when there is a worker for it alone."""
        self.running, self.since = words, time.monotonic()
        if group is not None and not has_share(self.groups, group):
            self.groups[group] = None
            while len(self.groups) > GROUPS:
                del self.groups[next(iter(self.groups))]

    def end(self, failed: bool, resident: Mapping[str, frozenset[str]] | None) -> None:
        """Its run is over.

        Args:
            resident: what is in its memory now; None where it did not say.
        """
        self.seconds.append(time.monotonic() - self.since)
        self.running, self.strikes = "", 0
        self.failed += failed
        self.done += not failed
        self.resident = self.resident if resident is None else resident


def local_remotes(devices: Sequence[str]) -> dict[str, Remote]:
    """One for each device, named by its number."""
    return {str(n): Remote(str(n), device) for n, device in enumerate(devices, 1)}


def start(remote: Remote, settings: Settings, cores: int) -> None:
    """Make a local worker, which shares with its head the library alone."""
    assert remote.device is not None
    folder = settings.state / "workers" / remote.name
    own = replace(
        settings,
        state=folder,
        outputs=folder,
        worker_store=settings.worker_store or folder / "store",
        device=remote.device,
    )
    remote.actor = make(own, cores)
    greet(remote)


def make(settings: Settings, cores: int, **options: Any) -> Any:
    """A worker with these settings; ``options`` are Ray's."""
    environment: dict[str, str | None] = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores)),
        # Ray hides the GPUs from whoever asks it for none.
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    kind, _, index = settings.device.partition(":")
    if kind == "cuda" and index:
        # Each finds its own GPU as the first and only one, and receipts say so alike.
        environment["CUDA_VISIBLE_DEVICES"] = index
        settings = replace(settings, device="cuda:0")
    return worker_actor().options(**options).remote(settings_text(settings), environment)


def greet(remote: Remote) -> None:
    remote.hello, remote.resident, remote.running = None, {}, ""
    remote.greeting = remote.actor.hello.remote()
    remote.life = remote.actor.live.remote()
    remote.asked = time.monotonic()


def joined() -> dict[str, Any]:
    """Name → handle of the workers that are in the cluster by themselves."""
    found = {}
    for name in ray.util.list_named_actors():
        if isinstance(name, str) and name.startswith(PREFIX):
            try:
                found[name.removeprefix(PREFIX)] = ray.get_actor(name, NAMESPACE)
            except ValueError:
                continue  # it has left between the two questions
    return found


def listen(remote: Remote, others: Sequence[Remote]) -> str | None:
    """Take a hello in that has come; why the worker is gone, where it is."""
    if remote.greeting is not None and _is_there(remote.greeting):
        _greeted(remote, others)
    if remote.life is not None and _is_there(remote.life):
        return why_gone(remote.life)
    if remote.greeting is not None and time.monotonic() - remote.asked > PATIENCE:
        return f"it did not answer within {PATIENCE:.0f} s"
    return None


def _greeted(remote: Remote, others: Sequence[Remote]) -> None:
    greeting, remote.greeting = remote.greeting, None
    try:
        hello = Hello.model_validate_json(ray.get(greeting))
    except ray.exceptions.RayActorError:
        return  # its life ends too, and says why
    except (ray.exceptions.RayError, ValueError) as error:
        cause = getattr(error, "cause", None) or error
        remote.refused, remote.problem = True, str(cause)
        logger.warning("worker %s is refused: %s", remote.name, cause)
        return
    reason = _reason_against(hello, remote, others)
    if reason is not None:
        remote.refused, remote.problem = True, reason
        logger.warning("worker %s is refused: %s", remote.name, reason)
        ray.kill(remote.actor)
        return
    remote.hello = hello


def _reason_against(hello: Hello, remote: Remote, others: Sequence[Remote]) -> str | None:
    if hello.protocol != PROTOCOL:
        return f"It speaks protocol {hello.protocol}, and this studio {PROTOCOL}."
    for other in others:
        if other is remote or not other.is_ready or other.hello is None or hello.gpu is None:
            continue
        if other.hello.gpu == hello.gpu:
            return (
                f"It is on the same GPU as worker {other.name}: each base would be in its memory "
                "twice, and the two would wait for each other."
            )
    return None


def _is_there(reference: Any) -> bool:
    ready, _ = ray.wait([reference], timeout=0)
    return bool(ready)


def why_gone(life: Any) -> str:
    """Why a worker ended, in one line."""
    try:
        ray.get(life)
    except ray.exceptions.RayError as error:
        logger.info("Ray says of a worker that is gone: %s", error)
        return in_a_line(error)
    return "it ended"


def in_a_line(error: Exception) -> str:
    """Ray's own words go on for many lines, with addresses."""
    text = str(error)
    if "creation task" in text:
        return f"it could not start: {text.strip().splitlines()[-1]}"
    for mark, said in (
        ("killed by `ray.kill`", "it was stopped"),
        ("owner has died", "`studio worker` ended on its machine"),
        ("process has died", "its process was killed or broke down"),
        ("SIGKILL", "its process was killed or broke down"),
        ("node", "its machine is gone"),
    ):
        if mark in text:
            return said
    return f"its process ended ({type(error).__name__})"
