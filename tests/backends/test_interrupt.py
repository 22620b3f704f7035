"""A cancel ends every stage within two seconds, and a stage that does not move is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from studio.backends import BackendEvent, BasePlace, Generated, LocalBackend
from studio.backends import watch as watching
from studio.contract.events import Cancelled, Failed, Job, Loading, Stalled
from studio.contract.plan import BaseIdentity, RunPlan
from studio.engine import Engine
from studio.library.files import hash_file
from tests.backends.worker_process import Folder
from tests.support.plans import make_plan

SOON = 6.0
"""Seconds until a cancel is heard: two are the promise, the others are for a busy machine."""
WAIT = 120.0


class Busy:
    """A stage of its library that goes on for ever, in many short calls into C."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def __call__(self, *_: object, **__: object) -> None:
        self.began.set()
        while True:
            torch.linalg.inv(torch.eye(8))


class Run:
    """A run, read in a thread of its own."""

    def __init__(self, backend: LocalBackend, plan: RunPlan) -> None:
        self.cancel = threading.Event()
        self.events: list[BackendEvent] = []
        job = Job(run_id="r", session="s", plan=plan)
        self._thread = threading.Thread(
            target=lambda: self.events.extend(backend.run(job, self.cancel))
        )
        self._thread.start()

    def seconds_to_the_end(self) -> float:
        start = time.monotonic()
        self.cancel.set()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        return time.monotonic() - start


@pytest.fixture
def weights(tiny_base: Path, tiny_loras: dict[str, Path]) -> Folder:
    return Folder((tiny_base, tiny_loras["text"]))


@pytest.fixture
def backend(engine: Engine, weights: Folder) -> Iterator[LocalBackend]:
    made = LocalBackend(engine, weights)
    yield made
    assert made.close(WAIT), "the device's thread is free"


@pytest.fixture
def plan(tiny_base: Path, tiny_loras: dict[str, Path]) -> Callable[[str], RunPlan]:
    return lambda prompt: make_plan(tiny_base, (tiny_loras["text"], 0.8), prompt=prompt)


def made_by(backend: LocalBackend, plan: RunPlan) -> bytes:
    events = list(backend.run(Job(run_id="r", session="s", plan=plan), threading.Event()))
    (made,) = (event for event in events if isinstance(event, Generated))
    assert made.receipt.base_proof is not None
    assert made.receipt.base_proof.holds
    return made.image.tobytes()


def part_of(engine: Engine, name: str) -> torch.nn.Module:
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    part: torch.nn.Module = (
        base.pipeline.vae.decoder if name == "vae" else getattr(base.pipeline, name)
    )
    return part


@pytest.mark.parametrize("name", ["text_encoder", "unet", "vae"])
def test_encoding_denoising_and_decoding_end(
    name: str, backend: LocalBackend, engine: Engine, plan: Callable[[str], RunPlan]
) -> None:
    before = made_by(backend, plan("a rocket"))
    busy = Busy()
    hook = part_of(engine, name).register_forward_pre_hook(busy)
    run = Run(backend, plan("another rocket"))
    assert busy.began.wait(WAIT)
    assert run.seconds_to_the_end() < SOON
    assert run.events[-1] == Cancelled("r")
    hook.remove()
    assert made_by(backend, plan("a rocket")) == before


def test_loading_ends(
    backend: LocalBackend, plan: Callable[[str], RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy()
    with monkeypatch.context() as patched:
        patched.setattr("diffusers.models.modeling_utils.load_state_dict", busy)
        run = Run(backend, plan("a rocket"))
        assert busy.began.wait(WAIT)
        assert run.seconds_to_the_end() < SOON
    assert run.events[-1] == Cancelled("r")
    assert made_by(backend, plan("a rocket"))


def test_hashing_ends(engine: Engine, plan: Callable[[str], RunPlan], tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(2**42)  # 4 TiB that take no room
    began = threading.Event()

    class Hashing(Folder):
        def base(self, wanted: BaseIdentity) -> BasePlace:
            began.set()
            hash_file(endless)
            return super().base(wanted)

    backend = LocalBackend(engine, Hashing(()))
    run = Run(backend, plan("a rocket"))
    assert began.wait(WAIT)
    assert run.seconds_to_the_end() < SOON
    assert run.events[-1] == Cancelled("r")
    assert backend.close(WAIT)


def test_closing_ends_a_stage_that_goes_on(
    backend: LocalBackend, engine: Engine, plan: Callable[[str], RunPlan]
) -> None:
    made_by(backend, plan("a rocket"))
    busy = Busy()
    part_of(engine, "unet").register_forward_pre_hook(busy)
    Run(backend, plan("a rocket"))
    assert busy.began.wait(WAIT)
    start = time.monotonic()
    assert backend.close(SOON)
    assert time.monotonic() - start < SOON


def test_a_library_that_swallows_it_is_asked_again(
    backend: LocalBackend, engine: Engine, plan: Callable[[str], RunPlan]
) -> None:
    made_by(backend, plan("a rocket"))
    busy = Busy()
    swallowed: list[BaseException] = []

    def deaf(*_: object) -> None:
        while len(swallowed) < 1:
            try:
                busy()
            except BaseException as error:  # noqa: BLE001 - that is the fault
                swallowed.append(error)
        busy()

    hook = part_of(engine, "unet").register_forward_pre_hook(deaf)
    run = Run(backend, plan("a rocket"))
    assert busy.began.wait(WAIT)
    assert run.seconds_to_the_end() < SOON
    assert swallowed
    hook.remove()


def test_a_stage_that_does_not_move_is_named(
    backend: LocalBackend,
    engine: Engine,
    plan: Callable[[str], RunPlan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_by(backend, plan("a rocket"))
    monkeypatch.setattr(watching, "QUIET", 0.4)
    hook = part_of(engine, "text_encoder").register_forward_pre_hook(lambda *_: time.sleep(1))
    run = Run(backend, plan("another rocket"))
    run._thread.join(WAIT)
    hook.remove()
    assert not any(isinstance(event, Failed | Cancelled) for event in run.events)
    said = [event for event in run.events if isinstance(event, Stalled)]
    assert {event.stage for event in said} >= {"Reading the prompt"}
    place = run.events.index(said[0])
    assert isinstance(run.events[place - 1], Loading)
