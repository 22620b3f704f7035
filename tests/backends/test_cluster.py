"""Real workers behind a real Ray, two of them on this machine's CPU, running Mini.

All tests of this file share one Ray, which takes its time to start.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import ray
from PIL import Image

from studio.architecture import Mode
from studio.backends import Generated
from studio.backends.cluster.wire import RunOrder, WorkerRefused, hear
from studio.contract.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Job,
    Loading,
    Progress,
)
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.settings import Settings, Workers
from studio.workspace.workspace import Workspace
from tests.support.workers import backend_of, pids

WAIT = 300.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Workspace]:
    settings = Settings(
        folder,
        folder / "outputs",
        folder / "state",
        device="cpu",
        workers=Workers(devices=("cpu", "cpu")),
    )
    with closing(Workspace.open(settings)) as opened:
        opened.describe_device()
        until(lambda: len(pids(opened)) == 2)
        yield opened
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Workspace]:
    settings = Settings(folder, folder / "local", folder / "local" / "state", device="cpu")
    with closing(Workspace.open(settings)) as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def request(seed: int, steps: int = 2, **changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "base": "mini",
        "mode": Mode.LORA_WITH_TRIGGER,
        "prompt": "a rocket on a blue background",
        "loras": (LoraChoice(slug="pen-ink-mini"),),
        "settings": Overrides(steps=steps),
        "seed": seed,
    }
    return GenerationRequest(**(values | changes))


def planned(studio: Workspace, seed: int, steps: int = 2, **changes: Any) -> RunPlan:
    plan = studio.plan(request(seed, steps, **changes))
    assert isinstance(plan, RunPlan), plan
    return plan


def pixels(events: list[Event]) -> bytes:
    (made,) = (event for event in events if isinstance(event, Finished))
    assert events[-1] == made, events
    with Image.open(made.path) as image:
        return image.convert("RGB").tobytes()


class Run:
    """A run of a session of its own, read in a thread."""

    def __init__(self, studio: Workspace, plan: RunPlan) -> None:
        self.events: list[Event] = []
        self.cancel = threading.Event()
        self._studio, self._plan = studio, plan
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        session = self._studio.open_session()
        for event in self._studio.run(self._plan, session, self.cancel):
            self.events.append(event)

    def steps(self) -> int:
        return sum(isinstance(event, Progress) for event in self.events)

    def end(self) -> list[Event]:
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), self.events
        return self.events


def worker_of(events: list[Event]) -> Any:
    last = events[-1]
    assert isinstance(last, Finished), events
    return last.record.receipt.worker


def test_both_workers_make_what_the_studio_makes_itself(
    studio: Workspace, local: Workspace
) -> None:
    plan = planned(studio, 7)
    assert plan.worker_class is not None
    runs = [Run(studio, plan) for _ in range(2)]
    ended = [run.end() for run in runs]
    assert {worker_of(events).name for events in ended} == {"1", "2"}
    here = pixels(Run(local, planned(local, 7)).end())
    assert [pixels(events) == here for events in ended] == [True, True]
    for events in ended:
        made = events[-1]
        assert isinstance(made, Finished)
        assert studio.verify(made.path).ok
        assert made.record.receipt.worker is not None
        assert made.record.receipt.worker.worker_class == plan.worker_class
        assert made.record.receipt.hardware == plan.worker_class.hardware
    shown = studio.workers()
    assert [each.done for each in shown] == [1, 1]
    assert all("Pen & Ink (mini)" in each.resident for each in shown)


def test_a_cancel_reaches_the_step(studio: Workspace) -> None:
    run = Run(studio, planned(studio, 8, steps=60))
    until(lambda: run.steps() > 1)
    run.cancel.set()
    assert isinstance(run.end()[-1], Cancelled)
    assert run.steps() < 60
    until(lambda: studio.queue_length() == 0)
    assert all(each.problem == "" for each in studio.workers()), "no worker had to be killed"


def test_a_worker_refuses_what_is_not_its_class_and_what_it_had(studio: Workspace) -> None:
    actor = backend_of(studio).crew.remotes["1"].actor
    plan = planned(studio, 11)
    assert plan.worker_class is not None
    other = plan.worker_class.model_copy(update={"hardware": "Another device"})

    def said(plan: RunPlan, delivery: str, fingerprint: str | None = None) -> list[Any]:
        order = RunOrder(
            delivery=delivery,
            fingerprint=fingerprint or plan.fingerprint,
            job=Job(run_id="r", session="s", plan=plan, previews=False),
        )
        return [hear(ray.get(each)) for each in actor.run.remote(order.text(), {})]

    for strange in (
        plan.model_copy(update={"worker_class": other}),
        plan.model_copy(update={"worker_class": None}),
        plan.model_copy(update={"libraries": plan.libraries[1:]}),
    ):
        assert [type(event) for event in said(strange, strange.fingerprint)] == [WorkerRefused]
    assert [type(event) for event in said(plan, "a", "f" * 64)] == [WorkerRefused]
    first, again = said(plan, "twice"), said(plan, "twice")
    assert [type(event) for event in (*first, *again) if isinstance(event, Generated)] == [
        Generated
    ]
    assert [type(event) for event in again] == [WorkerRefused]


def test_no_worker_of_a_class_is_said(studio: Workspace) -> None:
    plan = planned(studio, 12)
    assert plan.worker_class is not None
    other = plan.worker_class.model_copy(update={"hardware": "Another device"})
    (*_, last) = Run(studio, plan.model_copy(update={"worker_class": other})).end()
    assert isinstance(last, Failed)
    assert last.code == "no_worker"
    assert "Another device" in last.message


def test_a_group_stays_on_one_worker(studio: Workspace) -> None:
    seen: dict[str, set[str]] = {}

    def together(group: str) -> None:
        session = studio.open_session()
        for seed in (21, 22, 23):
            events = list(
                studio.run(planned(studio, seed), session, threading.Event(), group=group)
            )
            seen.setdefault(group, set()).add(worker_of(events).process)

    threads = [threading.Thread(target=together, args=(group,)) for group in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert [len(seen[group]) for group in ("a", "b")] == [1, 1]


def test_a_killed_worker_is_named_and_its_run_moved(studio: Workspace) -> None:
    before = pids(studio)
    run = Run(studio, planned(studio, 9, steps=30))
    until(lambda: run.steps() > 0)
    (name,) = (each.name for each in studio.workers() if each.running)
    os.kill(before[name], signal.SIGKILL)
    ended = run.end()
    worker = worker_of(ended)
    assert worker.moved_from == (name,)
    said = [event.stage for event in ended if isinstance(event, Loading)]
    assert any(f"Worker {name} was lost" in stage for stage in said)
    assert sum(isinstance(event, Finished) for event in ended) == 1
    (shown,) = (each for each in studio.workers() if each.name == name)
    assert shown.problem


def test_what_was_finished_stays_and_the_run_is_not_moved(studio: Workspace) -> None:
    run = Run(studio, planned(studio, 10, steps=12, count=3))
    until(lambda: any(isinstance(event, Finished) for event in run.events))
    (name,) = (each.name for each in studio.workers() if each.running)
    before = pids(studio)
    os.kill(before[name], signal.SIGKILL)
    ended = run.end()
    last = ended[-1]
    assert isinstance(last, Failed), ended
    assert last.code == "worker_lost"
    assert f"Worker {name}" in last.message
    made = [event for event in ended if isinstance(event, Finished)]
    assert made
    assert all(studio.verify(event.path).ok for event in made)
    # Another is made in the place of each.
    until(lambda: any(pids(studio).get(each, old) != old for each, old in before.items()))
