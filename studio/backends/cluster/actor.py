"""A worker: an engine behind the wire. Ray makes it, in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import ray
from pydantic import TypeAdapter

from studio.backends.cluster.weights import Errand, WorkerWeights, forget_pictures
from studio.backends.cluster.wire import (
    Hello,
    Resident,
    RunOrder,
    WireEvent,
    WorkerEvent,
    WorkerRefused,
    read_order,
    say,
)
from studio.backends.libraries import installed_libraries
from studio.backends.library import LibraryWeights
from studio.backends.worker import work
from studio.contract.base import canonical_json
from studio.contract.events import Loading
from studio.engine import Engine
from studio.errors import StudioError, WorkerError
from studio.imaging.references import References
from studio.library.preset_files import load
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.settings import BUILT_IN_PRESETS, Settings

REMEMBERED = 1024
"""Deliveries that a worker knows again."""
SENT = (
    "model_base_path", "more_folders", "linked_folders", "whole_library", "preset_dirs",
    "local_presets", "state", "outputs", "device", "memory_budget", "dtype", "offload",
    "vae_tiling", "vae_slicing", "max_download", "worker_store",
)  # fmt: skip
"""The settings that make a worker; no key is among them."""


_SETTINGS = TypeAdapter(Settings)


def settings_text(settings: Settings) -> str:
    """What a worker is told when it starts, as JSON."""
    return canonical_json(_SETTINGS.dump_python(settings, mode="json", include=set(SENT)))


def read_settings(text: str) -> Settings:
    """The settings that ``settings_text`` told."""
    return _SETTINGS.validate_python(json.loads(text) | {"offline": True})


class StudioWorker:
    """Carries out orders one at a time, in one thread that touches the device.

    Args:
        text: the settings, as ``settings_text`` says them.
        environment: variables that are set, or with None unset, before torch is imported.
    """

    def __init__(self, text: str, environment: Mapping[str, str | None]) -> None:
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        settings = read_settings(text)
        self._folder = settings.worker_store or settings.state / "worker"
        self._engine = Engine(settings)
        self._weights = _weights(settings, self._folder)
        self._device = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-device")
        self._cancels: dict[str, threading.Event] = {}
        self._begun: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._hello: Hello | None = None

    def hello(self) -> str:
        """What this worker is; imports torch.

        Raises:
            DeviceError: the device is not there.
        """
        return self._said_hello().model_dump_json()

    def _said_hello(self) -> Hello:
        if self._hello is None:
            engine = self._engine
            engine.warm_up()
            self._hello = Hello(
                worker_class=engine.worker_class(),
                libraries=installed_libraries(),
                memory=engine.memory_rules(),
                device=engine.describe_device(),
                gpu=engine.gpu(),
                process=secrets.token_hex(8),
                pid=os.getpid(),
            )
        return self._hello

    def run(self, text: str, pictures: Mapping[str, bytes]) -> Generator[WireEvent, None, None]:
        """Carry out an order; what happens, and at the end what is in memory.

        Args:
            pictures: SHA-256 of the plan's reference images → their PNG files.
        """
        try:
            order = read_order(text)
        except WorkerError as error:
            yield say(WorkerRefused("", error.message, error.way_out))
            return
        refused = self._refused(order)
        if refused is not None:
            yield say(refused)
            return
        events: SimpleQueue[WorkerEvent | None] = SimpleQueue()
        self._device.submit(self._carry_out, order, pictures, events)
        while (event := events.get()) is not None:
            yield say(event)

    def _refused(self, order: RunOrder) -> WorkerRefused | None:
        run_id, plan = order.job.run_id, order.job.plan
        with self._lock:
            begun = order.delivery in self._begun
            self._begun[order.delivery] = None
            while len(self._begun) > REMEMBERED:
                self._cancels.pop(self._begun.popitem(last=False)[0], None)
        if begun:
            return WorkerRefused(run_id, "This worker has had the run before.", "Send it anew.")
        hello = self._said_hello()
        # A replay shows what another class makes of a recorded plan, and its receipt says so.
        if order.job.only is None and plan.class_key != hello.key:
            wanted = plan.worker_class.hardware if plan.worker_class else "no class of workers"
            return WorkerRefused(
                run_id,
                f"The plan is for {wanted} with its libraries, and this worker is "
                f"{hello.worker_class.hardware} with its own.",
                "Resolve the request again.",
            )
        return None

    def _carry_out(
        self,
        order: RunOrder,
        pictures: Mapping[str, bytes],
        events: SimpleQueue[WorkerEvent | None],
    ) -> None:
        job, cancel = order.job, self._cancel_of(order.delivery)
        try:
            self._weights.begin(
                Errand(
                    job.plan,
                    order.share,
                    cancel,
                    lambda stage: events.put(Loading(job.run_id, stage)),
                    pictures,
                )
            )
            work(self._engine, self._weights, job, cancel, events.put)
            events.put(Resident.of(self._engine.resident()))
        except StudioError as error:
            events.put(WorkerRefused(job.run_id, error.message, error.way_out))
        finally:
            forget_pictures(self._folder)
            events.put(None)

    def _cancel_of(self, delivery: str) -> threading.Event:
        with self._lock:
            return self._cancels.setdefault(delivery, threading.Event())

    def cancel(self, delivery: str) -> None:
        """Stop a run within its step; one that has not come yet stops when it does."""
        self._cancel_of(delivery).set()

    def release(self, session: str) -> None:
        """Free the LoRAs that only ``session`` used, after the run that goes on."""
        self._device.submit(self._engine.release, session)

    def live(self) -> None:
        """Does not return: whoever waits for it learns at once that the worker is gone."""
        threading.Event().wait()


METHODS = {
    "hello": {"concurrency_group": "run"},
    "run": {"concurrency_group": "run", "num_returns": "streaming"},
    "cancel": {"concurrency_group": "control"},
    "release": {"concurrency_group": "control"},
    "live": {"concurrency_group": "life"},
}
for _name, _options in METHODS.items():
    ray.method(**_options)(getattr(StudioWorker, _name))


def _weights(settings: Settings, folder: Path) -> WorkerWeights:
    catalog, problems = load((BUILT_IN_PRESETS, *settings.preset_dirs), settings.local_presets)
    store = WeightStore(settings)
    stock = Stock(settings, store, catalog, problems)
    references = References(folder / "references", lambda sha256: folder / f"{sha256}.none")
    library = LibraryWeights(store, stock, references)
    return WorkerWeights(library, store, folder, settings.max_download)


def worker_actor() -> ray.actor.ActorClass:
    """``StudioWorker`` as Ray makes it. It is never restarted by Ray, nor is a run sent twice:
    whoever made it does that, and says so."""
    groups = {"run": 1, "control": 2, "life": 1}
    return ray.remote(concurrency_groups=groups, num_cpus=0, max_restarts=0, max_task_retries=0)(
        StudioWorker
    )
