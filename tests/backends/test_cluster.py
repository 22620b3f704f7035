"""Real workers behind a real Ray, two of them on this machine's CPU, running Mini.

All tests of this file share one Ray, which takes its time to start.
"""

from __future__ import annotations

import os
import signal
import sys
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
from studio.backends.cluster import carrying
from studio.backends.cluster.wire import RunOrder, WorkerRefused, hear
from studio.comparison.axes import ComparisonPlan, Role, four_arms
from studio.comparison.events import CellDone, Compared
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
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
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.errors import ContractBroken
from studio.gallery.comparisons.verification import verify_comparison
from studio.gallery.sheet.captions import control_caption
from studio.settings import Settings
from studio.settings.workers import Workers
from studio.ui.html import comparison as compare_html
from studio.ui.html.comparison import Grid
from studio.workspace.comparing import Comparing
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
    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers stand back for every other process, which on a busy machine is for ever.
        patch.setenv("RAY_worker_niceness", "0")
        with closing(Workspace.open(settings)) as opened:
            both_ready(opened)
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

    def __init__(self, studio: Workspace, plan: RunPlan, group: str | None = None) -> None:
        self.events: list[Event] = []
        self.cancel = threading.Event()
        self._studio, self._plan, self._group = studio, plan, group
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        session = self._studio.open_session()
        for event in self._studio.run(self._plan, session, self.cancel, group=self._group):
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


def worker_in(made: CellDone) -> Any:
    return made.record.receipt.worker


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


class Comparison:
    """Four arms on two seeds, made by whatever workers there are.

    Attributes:
        done: cells in the order in which they were made: index, worker's name, its life.
    """

    def __init__(self, studio: Workspace, seed: int) -> None:
        self._studio = studio
        asked = four_arms(request(seed, count=2))
        plan = Comparing(studio).plan(asked)
        assert isinstance(plan, ComparisonPlan), plan
        self.plan = plan
        self.done: list[CellDone] = []

    def run(self, look: Callable[[CellDone], None] = lambda _: None) -> Compared:
        session, last = self._studio.open_session(), None
        for last in Comparing(self._studio).run(self.plan, session, threading.Event()):
            if isinstance(last, CellDone):
                self.done.append(last)
                look(last)
        assert isinstance(last, Compared), last
        return last

    def whole(self, record: ComparisonRecord) -> list[tuple[Role, str, RunRecord]]:
        """Of each cell: its role, the life of the worker that made it, its record."""
        outputs = self._studio.settings.outputs
        read = [self._studio.gallery.read(outputs / str(cell.picture)) for cell in record.cells]
        return [
            (cell.place.role, life(each), each)
            for cell, each in zip(record.cells, read, strict=True)
        ]


def life(record: RunRecord) -> str:
    assert record.receipt.worker is not None
    return record.receipt.worker.process


def demand_proof(studio: Workspace, comparison: Comparison, ended: Compared) -> set[str]:
    """Every life of a worker that made cells made the controls of its own, and they hold."""
    record = ended.record
    assert record.validity.verdict is Verdict.VALID, record.validity
    assert record.plan_fingerprint == comparison.plan.fingerprint
    whole = comparison.whole(record)
    made = {life for role, life, _ in whole if role is Role.ARM}
    for role in (Role.SCALE_ZERO, Role.BASE_AGAIN):
        assert sorted(life for each, life, _ in whole if each is role) == sorted(made)
    assert len(record.cells) == len(comparison.plan.cells) + 2 * (len(made) - 1)
    assert verify_comparison(ended.path).findings == ()
    return made


def both_ready(studio: Workspace) -> None:
    until(lambda: len(pids(studio)) == 2)


def test_a_comparison_uses_both_workers_and_each_proves_its_own(studio: Workspace) -> None:
    both_ready(studio)
    comparison = Comparison(studio, 30)
    ended = comparison.run()
    made = demand_proof(studio, comparison, ended)
    assert len(made) == 2
    cells = [life for role, life, _ in comparison.whole(ended.record) if role is Role.ARM]
    assert all(cells.count(each) >= 2 for each in made)
    record = ended.record
    controls = [cell for cell in record.cells if cell.place.role is Role.BASE_AGAIN]
    assert sorted(cell.label.rpartition(", on worker ")[2] for cell in controls) == ["1", "2"]
    grid = compare_html.grid(Grid(record.rows, record.columns, record.cells, Path("x")))
    for cell in controls:
        assert cell.label in grid
        assert control_caption(cell, record.cells)[0].startswith(cell.label)


def test_a_worker_killed_within_a_comparison_costs_its_own_cells_alone(studio: Workspace) -> None:
    both_ready(studio)
    comparison = Comparison(studio, 40)
    killed: list[str] = []

    def kill(cell: CellDone) -> None:
        """The worker of the first cell, when the other one has made some too."""
        names = [worker.name for worker in map(worker_in, comparison.done)]
        if not killed and len(set(names)) == 2 and names.count(names[0]) > 1:
            killed.append(life(comparison.done[0].record))
            os.kill(pids(studio)[names[0]], signal.SIGKILL)

    ended = comparison.run(kill)
    made = demand_proof(studio, comparison, ended)
    assert killed
    assert killed[0] not in made
    for index in range(len(comparison.plan.cells)):
        lives = [life(each.record) for each in comparison.done if each.cell == index]
        if comparison.plan.cells[index].place.role is Role.ARM:
            assert [each for each in lives if each != killed[0]] == lives[-1:]
    lost = [each for each in comparison.done if life(each.record) == killed[0]]
    assert len(lost) > 1, "its cells were made again"
    assert all(studio.verify(each.path).ok for each in lost), "and are in the gallery still"


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


def test_a_step_that_is_stuck_ends_its_worker_which_is_named_and_the_run_is_moved(
    studio: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "STUCK", 2.5)
    monkeypatch.setattr(carrying, "SLOWER", 1)
    run = Run(studio, planned(studio, 13, steps=30))
    until(lambda: run.steps() > 2)
    (name,) = (each.name for each in studio.workers() if each.running)
    stuck = pids(studio)[name]
    os.kill(stuck, signal.SIGSTOP)
    try:
        ended = run.end()
    finally:
        until(lambda: not Path(f"/proc/{stuck}").exists())
    assert worker_of(ended).moved_from == (name,)
    assert sum(isinstance(event, Finished) for event in ended) == 1
    said = [event.stage for event in ended if isinstance(event, Loading)]
    assert any(f"Worker {name} was lost" in stage for stage in said)
    (shown,) = (each for each in studio.workers() if each.name == name)
    assert "of 30 had not ended after" in shown.problem


def spoil(worker: Any) -> None:
    """Another number in the weights of the base that is in a worker's memory."""
    import torch

    with torch.no_grad():
        for base in worker._engine._manager._bases.values():
            base.pipeline.unet.conv_in.weight.add_(1)


def test_a_worker_whose_base_broke_is_started_anew(studio: Workspace) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    name = worker_of(Run(studio, planned(studio, 14), group="spoilt").end()).name
    remote = backend_of(studio).crew.remotes[name]
    before, failed = pids(studio)[name], remote.failed
    ray.get(remote.actor.__ray_call__.remote(spoil))
    (*_, last) = Run(studio, planned(studio, 15), group="spoilt").end()
    assert isinstance(last, Failed)
    assert last.code == ContractBroken.code, last
    assert remote.failed == failed + 1
    until(lambda: pids(studio).get(name, before) != before)
    (shown,) = (each for each in studio.workers() if each.name == name)
    assert "base" in shown.problem
    assert isinstance(Run(studio, planned(studio, 16)).end()[-1], Finished)
