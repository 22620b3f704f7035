"""The queue: order, places, cancelling, errors as events, the log."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.backends import BackendEvent, BasePlace, LocalBackend
from studio.backends.watch import PATIENCE
from studio.contract.events import Cancelled, Failed, Job, Loading, Progress, Queued
from studio.contract.plan import BaseIdentity, LoraUse, RunPlan
from studio.contract.request import ReferenceImage
from studio.engine import Engine, Generated, LocalJob, RunCancelled
from studio.engine.job import Publish
from studio.errors import EngineError, OutOfMemory, WeightsError
from studio.settings import Settings
from tests.backends.worker_process import Folder
from tests.support.plans import make_plan

WAIT = 60.0


class Gated(Engine):
    """An engine whose runs last until they are let go, and that does as each run says."""

    def __init__(self) -> None:
        super().__init__(Settings(Path(), Path(), Path()))
        self.order: list[str] = []
        self.go = threading.Event()
        self.started = threading.Event()

    def run(self, job: LocalJob, cancel: threading.Event, publish: Publish) -> None:
        self.order.append(job.run_id)
        self.started.set()
        publish(Loading(job.run_id, "Working"))
        deadline = time.monotonic() + WAIT
        while not self.go.is_set() and time.monotonic() < deadline:
            if cancel.is_set():
                raise RunCancelled(job.run_id)
            time.sleep(0.005)
        if "memory" in job.run_id:
            raise OutOfMemory("No room.", "Choose less.")
        if "bug" in job.run_id:
            raise ZeroDivisionError("by zero")


class Anything:
    """Weights that are there whatever they are."""

    def base(self, wanted: BaseIdentity) -> BasePlace:
        return BasePlace(Path(wanted.slug))

    def lora(self, wanted: LoraUse) -> Path:
        return Path(wanted.slug)

    def reference(self, wanted: ReferenceImage) -> Path:
        return Path(wanted.sha256)


class Reader:
    """Reads one run in a thread of its own."""

    def __init__(self, backend: LocalBackend, job: Job) -> None:
        self.cancel = threading.Event()
        self.events: list[BackendEvent] = []
        self._run = backend.run(job, self.cancel)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        _until(lambda: bool(self.events))  # it is in the queue, so the next one comes after it

    def _read(self) -> None:
        for event in self._run:
            self.events.append(event)

    def end(self) -> list[BackendEvent]:
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        return self.events


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def plan(tiny_base: Path) -> RunPlan:
    return make_plan(tiny_base)


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.fixture
def backend(gated: Gated) -> Iterator[LocalBackend]:
    made = LocalBackend(gated, Anything())
    yield made
    made.close()


@pytest.fixture
def job(plan: RunPlan) -> Callable[[str], Job]:
    """``a2`` is run a2 of session a."""
    return lambda run_id: Job(run_id=run_id, session=run_id[0], plan=plan)


def test_sessions_take_turns_and_hear_their_places(
    backend: LocalBackend, gated: Gated, job: Callable[[str], Job]
) -> None:
    readers = {"a1": Reader(backend, job("a1"))}
    assert gated.started.wait(WAIT)
    readers |= {name: Reader(backend, job(name)) for name in ("a2", "a3", "b1")}
    assert backend.queue_length() == 4
    gated.go.set()
    events = {name: reader.end() for name, reader in readers.items()}
    assert gated.order == ["a1", "a2", "b1", "a3"]
    places = [event.ahead for event in events["a3"] if isinstance(event, Queued)]
    assert places == [2, 3, 2, 1, 0]
    assert backend.queue_length() == 0


def test_a_waiting_run_is_taken_out_at_once(
    backend: LocalBackend, gated: Gated, job: Callable[[str], Job]
) -> None:
    first, second, third = (Reader(backend, job(name)) for name in ("a1", "b1", "c1"))
    second.cancel.set()
    assert second.end()[-1] == Cancelled("b1")
    _until(lambda: Queued("c1", 1) in third.events)
    gated.go.set()
    first.end()
    third.end()
    assert gated.order == ["a1", "c1"]


def test_a_running_run_is_cancelled_and_the_next_one_goes_on(
    backend: LocalBackend, gated: Gated, job: Callable[[str], Job]
) -> None:
    first, second = Reader(backend, job("a1")), Reader(backend, job("b1"))
    assert gated.started.wait(WAIT)
    first.cancel.set()
    assert first.end()[-1] == Cancelled("a1")
    gated.go.set()
    assert isinstance(second.end()[-1], Loading)


def test_a_reader_that_leaves_cancels_its_run(
    backend: LocalBackend, gated: Gated, job: Callable[[str], Job]
) -> None:
    running, waiting = (backend.run(job(name), threading.Event()) for name in ("a1", "b1"))
    assert isinstance(next(running), Queued)
    assert isinstance(next(waiting), Queued)
    waiting.close()
    running.close()
    _until(lambda: backend.queue_length() == 0)
    assert "b1" not in gated.order


def test_errors_are_events_and_the_next_run_goes_on(
    backend: LocalBackend,
    gated: Gated,
    job: Callable[[str], Job],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gated.go.set()
    with caplog.at_level(logging.INFO, "studio.worker"):
        ends = [Reader(backend, job(name)).end()[-1] for name in ("a-memory", "a-bug", "a1")]
    assert ends[0] == Failed("a-memory", "out_of_memory", "No room.", "Choose less.")
    assert isinstance(ends[1], Failed)
    assert ends[1].code == "unexpected"
    assert "ZeroDivisionError" in ends[1].message
    assert isinstance(ends[2], Loading)
    assert "Traceback" in caplog.text


def test_weights_are_verified_before_the_engine(gated: Gated, job: Callable[[str], Job]) -> None:
    class Changed(Anything):
        def base(self, wanted: BaseIdentity) -> BasePlace:
            raise WeightsError("It changed.", "Fetch it again.")

    backend = LocalBackend(gated, Changed())
    events = list(backend.run(job("a1"), threading.Event()))
    backend.close()
    assert events[-1] == Failed("a1", "weights", "It changed.", "Fetch it again.")
    assert gated.order == []


def test_a_closed_backend_takes_no_more(
    backend: LocalBackend, gated: Gated, job: Callable[[str], Job]
) -> None:
    first, second = Reader(backend, job("a1")), Reader(backend, job("a2"))
    assert gated.started.wait(WAIT)
    backend.close()
    assert first.end()[-1] == Cancelled("a1")
    assert second.end()[-1] == Cancelled("a2")
    with pytest.raises(EngineError, match="closing"):
        next(backend.run(job("a3"), threading.Event()))


def test_a_real_run_from_queue_to_picture_with_its_log(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = LocalBackend(engine, Folder((tiny_base, tiny_loras["plain"])))
    job = Job(run_id="r9", session="s", plan=make_plan(tiny_base, (tiny_loras["plain"], 1.0)))
    with caplog.at_level(logging.INFO, "studio.worker"):
        events = list(backend.run(job, threading.Event()))
    backend.close()
    kinds = [type(event) for event in events]
    assert kinds == [Queued, *[Loading] * 4, *[Progress] * 2, Generated]
    lines = [
        json.loads(record.message) for record in caplog.records if record.name == "studio.worker"
    ]
    stages = ["verify", "load", "loras", "encode", "denoise", "decode", "done"]
    assert [line["stage"] for line in lines] == stages
    assert {line["fingerprint"] for line in lines} == {job.plan.fingerprint}
    assert lines[0] | {"seconds": 0} == {
        "run_id": "r9",
        "mode": "lora",
        "base": "base",
        "loras": ["plain"],
        "fingerprint": job.plan.fingerprint,
        "stage": "verify",
        "seconds": 0,
    }


class Stuck(Engine):
    """An engine that hears nobody until it is let go."""

    def __init__(self) -> None:
        super().__init__(Settings(Path(), Path(), Path()))
        self.go = threading.Event()
        self.started = threading.Event()

    def run(self, job: LocalJob, cancel: threading.Event, publish: Publish) -> None:
        publish(Loading(job.run_id, "Working"))
        self.started.set()
        self.go.wait(WAIT)


def test_a_cancelled_reader_does_not_wait_for_a_stuck_run(job: Callable[[str], Job]) -> None:
    stuck = Stuck()
    backend = LocalBackend(stuck, Anything())
    first, second = Reader(backend, job("a1")), Reader(backend, job("b1"))
    assert stuck.started.wait(WAIT)
    start = time.monotonic()
    first.cancel.set()
    assert first.end()[-1] == Cancelled("a1")
    assert time.monotonic() - start < 5 * PATIENCE
    assert backend.queue_length() == 2  # the device is still busy
    assert not backend.close(0.1)
    assert second.end()[-1] == Cancelled("b1")
    stuck.go.set()
    assert backend.close(WAIT)
