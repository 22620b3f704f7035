"""Users suffer: swaps are slow, memory grows with each of them, and old LoRAs come back."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.architecture import Architecture
from studio.engine.base.manager import PipelineManager
from studio.engine.base.resident import ResidentBase
from studio.engine.device import free_memory
from studio.engine.lora.inject import WantedLora
from studio.engine.lora.slot import modules_of, read_switched, slots_of
from studio.engine.lora.switch import set_loras
from studio.engine.tiny import save_tiny
from tests.support.made_loras import peft_lora
from tests.support.plans import base_identity, file_sha256

PIPELINE = "StableDiffusionXLPipeline"
SWAPS, WARM, LOADS = 200, 10, 5
GROWTH = 1.02
COUNT = 3


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[WantedLora]]:
    """The folder of a tiny SDXL, and three LoRAs for it, large for its size."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("swaps")
    base = save_tiny(PIPELINE, folder / "base")
    paths = [
        peft_lora(PIPELINE, base, folder / f"lora{seed}.safetensors", seed, rank=64)
        for seed in range(COUNT)
    ]
    return base, [WantedLora(path.stem, file_sha256(path), 1.0, path) for path in paths]


@pytest.fixture
def manager() -> Iterator[PipelineManager]:
    made = PipelineManager(torch.device("cpu"), 10**12)
    yield made
    for base in list(made._bases.values()):
        made.drop(base)


def acquired(manager: PipelineManager, folder: Path) -> ResidentBase:
    identity = base_identity(folder).model_copy(
        update={"architecture": Architecture.SDXL, "pipeline": PIPELINE}
    )
    return manager.acquire(identity, folder, "float32")


def resident_set() -> int:
    """Bytes of this process in memory, after giving back what is free."""
    free_memory(torch.device("cpu"))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def use(base: ResidentBase, manager: PipelineManager, lora: WantedLora) -> None:
    set_loras(base, [lora], manager.make_room)
    base.adapters[lora.sha256].used = manager.tick()


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="Linux tells it so")
def test_two_hundred_swaps_do_not_grow_the_resident_set(
    loras: tuple[Path, list[WantedLora]], manager: PipelineManager
) -> None:
    """There is room for two of three: every fifth swap loads one and evicts another."""
    folder, wanted = loras
    base = acquired(manager, folder)
    for lora in wanted[:2]:
        use(base, manager, lora)
    size = next(iter(base.adapters.values())).size
    manager.budget = manager.used() + size // 2
    waiting = [wanted[2], *wanted[:2]]
    warm = 0
    for turn in range(SWAPS):
        # By last use: the first is not in memory, the second is and is not on.
        waiting.append(waiting.pop(0 if turn % LOADS == LOADS - 1 else 1))
        use(base, manager, waiting[-1])
        if turn + 1 == WARM:
            warm = resident_set()
    assert size * (SWAPS - WARM) // LOADS > 3 * (GROWTH - 1) * warm, "a leak would show"
    assert resident_set() <= GROWTH * warm
    assert len(base.adapters) == 2
    assert manager.used() <= manager.budget


def test_the_least_recently_used_lora_leaves_and_stays_away(
    loras: tuple[Path, list[WantedLora]], manager: PipelineManager
) -> None:
    folder, (one, two, three) = loras
    base = acquired(manager, folder)
    for lora in (one, two, one):
        use(base, manager, lora)
    manager.budget = manager.used() + 1000
    use(base, manager, three)
    assert base.adapters.keys() == {one.sha256, three.sha256}
    names = {name for *_, slot in slots_of(base.pipeline) for name in slot.deltas}
    assert names == {base.adapters[lora.sha256].name for lora in (one, three)}
    active = read_switched(slots_of(base.pipeline))
    assert {name for *_, name in active} == {base.adapters[three.sha256].name}


def test_a_session_that_ends_gives_its_loras_back_at_once(
    loras: tuple[Path, list[WantedLora]], manager: PipelineManager
) -> None:
    """Nothing has to be searched for, which takes half a second where diffusers is loaded."""
    folder, (one, *_) = loras
    base = acquired(manager, folder)
    use(base, manager, one)
    base.adapters[one.sha256].sessions.add("a")
    deltas = [
        weakref.ref(each) for *_, slot in slots_of(base.pipeline) for each in slot.deltas.values()
    ]
    gc.disable()
    try:
        assert manager.release("a") == 1
        assert deltas
        assert {each() for each in deltas} == {None}
    finally:
        gc.enable()


def test_a_swap_looks_into_no_more_than_the_loras_at_work(
    loras: tuple[Path, list[WantedLora]], manager: PipelineManager
) -> None:
    """What a swap goes through does not grow with the LoRAs in memory."""
    from studio.engine.base.folder import components_of

    folder, wanted = loras
    base = acquired(manager, folder)
    seen = []
    for lora in wanted:
        use(base, manager, lora)
        parts = components_of(base.pipeline).values()
        seen.append(sum(1 for part in parts for _ in modules_of(part)))
    assert len(set(seen)) == 1
    inside = sum(len(slot.deltas) for *_, slot in slots_of(base.pipeline))
    assert sum(1 for part in parts for _ in part.modules()) >= seen[0] + inside > 2 * seen[0]
