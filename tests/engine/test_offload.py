"""Weights that are not kept on the device: the same pictures, proofs and refusals.

accelerate's hooks work with any device to compute on; here it is the CPU too. What moves
between two kinds of memory is not seen here.
"""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch

from studio.contract.base import FileIdentity
from studio.contract.placement import Offload, Placement
from studio.engine import Engine, LocalJob
from studio.engine.base import manager as pipelines
from studio.engine.base.load import load_pipeline
from studio.engine.base.manager import PipelineManager
from studio.engine.base.offload import device_bytes, device_of, placed
from studio.errors import LoraRefused, OutOfMemory
from studio.library.store import WeightStore
from studio.resolve.inventory import LoraWeights, most_numbers
from studio.resolve.memory import MemoryRules, place
from studio.settings import Settings
from tests.support import tiny
from tests.support.plans import base_identity, make_job, pictures, pixels

HOOKED = [Offload.MODEL, Offload.SEQUENTIAL]
CPU = torch.device("cpu")


def offloaded(offload: Offload, folder: Path, *loras: tuple[Path, float]) -> LocalJob:
    job = make_job(folder, *loras)
    placement = Placement(device="cpu", offload=offload, reason="The test says so.")
    plan = job.plan.model_copy(update={"placement": placement})
    return LocalJob(job.run_id, job.session, plan, job.base_path, job.lora_paths)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("engine")
    return Engine(Settings(folder, folder, folder, device="cpu"))


@pytest.mark.parametrize("offload", HOOKED)
def test_the_pictures_are_the_same_and_the_hooks_stay(
    offload: Offload, shared: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Base, a LoRA that is loaded under hooks, one more, a switch back, and the base again."""
    runs = [(), (("text", 1.0),), (("plain", 0.5), ("text", 1.0)), (("text", 1.0),), ()]
    for chosen in runs:
        loras = [(tiny_loras[name], strength) for name, strength in chosen]
        (made,) = pictures(shared, offloaded(offload, tiny_base, *loras))
        assert made.image.tobytes() == pixels(shared, tiny_base, *loras)
        assert made.receipt.offload is offload
        assert made.receipt.base_proof.holds
        assert [lora.slug for lora in made.receipt.loras] == [name for name, _ in chosen]


@pytest.mark.parametrize("offload", HOOKED)
def test_a_refused_lora_leaves_the_hooks_and_the_others(
    offload: Offload,
    shared: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    tmp_path: Path,
) -> None:
    """diffusers takes the hooks off for a load, and a failed one never puts them back."""
    kept = (tiny_loras["plain"], 1.0)
    broken = tiny.rewrite(
        tiny_loras["text"],
        tmp_path / "broken.safetensors",
        lambda tensors: {key: value * float("nan") for key, value in tensors.items()},
    )
    (before,) = pictures(shared, offloaded(offload, tiny_base, kept))
    with pytest.raises(LoraRefused):
        pictures(shared, offloaded(offload, tiny_base, kept, (broken, 1.0)))
    (after,) = pictures(shared, offloaded(offload, tiny_base, kept))
    assert after.receipt.offload is offload
    assert after.image.tobytes() == before.image.tobytes()


def test_a_written_weight_is_noticed_where_it_is_kept(
    tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Between calls the modules' own weights have no storage that could be looked at."""
    from studio.engine.lora.prove import survey

    manager = PipelineManager(CPU, 10**12)
    base = manager.acquire(
        base_identity(tiny_base), tiny_base, "float32", offload=Offload.SEQUENTIAL
    )
    assert base.pipeline.unet.conv_in.weight.is_meta
    before = survey(base.pipeline).base
    assert survey(base.pipeline).base == before
    base.pipeline.unet.conv_in._hf_hook.weights_map["weight"].add_(1)
    assert survey(base.pipeline).base != before


def test_what_is_on_the_device_and_what_in_main_memory(tiny_base: Path) -> None:
    identity = base_identity(tiny_base)
    manager = PipelineManager(CPU, 10**12)
    found = {
        offload: manager.acquire(identity, tiny_base, "float32", offload=offload)
        for offload in Offload
    }
    whole = found[Offload.NONE].size
    assert found[Offload.NONE].host == 0
    assert whole > found[Offload.MODEL].size > found[Offload.SEQUENTIAL].size > 0
    assert found[Offload.MODEL].host == found[Offload.SEQUENTIAL].host == whole
    for offload, base in found.items():
        assert placed(base.pipeline) is offload
        assert device_of(base.pipeline.unet).type == "cpu"
    unet = found[Offload.NONE].pipeline.unet
    assert device_bytes(found[Offload.NONE].pipeline, Offload.MODEL) == sum(
        weight.nbytes for weight in (*unet.parameters(), *unet.buffers())
    )


def test_main_memory_has_a_budget_of_its_own(tiny_base: Path, tmp_path: Path) -> None:
    other = tiny.save_base(tmp_path / "other", seed=5)
    size = PipelineManager(CPU, 10**12).acquire(base_identity(other), other, "float32").size
    manager = PipelineManager(CPU, 10**12, host_budget=size + size // 2)
    for folder in (tiny_base, other):
        manager.acquire(base_identity(folder), folder, "float32", offload=Offload.MODEL)
    assert len(manager.memory().bases) == 1
    manager.host_budget = size // 2
    with pytest.raises(OutOfMemory, match="main memory"):
        manager.acquire(base_identity(tiny_base), tiny_base, "float32", offload=Offload.MODEL)
    assert len(manager.memory().bases) == 1


@pytest.mark.parametrize("offload", HOOKED)
def test_a_base_leaves_main_memory_before_the_next_one_is_loaded(
    offload: Offload, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny.save_base(tmp_path / "other", seed=5)
    manager = PipelineManager(CPU, 10**12)
    first = manager.acquire(base_identity(tiny_base), tiny_base, "float32", offload=offload)
    manager.host_budget = first.host + first.host // 2
    watched = weakref.ref(first.pipeline.unet)
    alive = []

    def load(*arguments: object) -> object:
        alive.append(watched() is not None)
        return load_pipeline(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pipelines, "load_pipeline", load)
    manager.acquire(base_identity(other), other, "float32", offload=offload)
    assert alive == [False]


def test_a_budget_without_room_for_the_lora_is_planned_with_offload_and_runs(
    tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """Planned as on a GPU, run on the CPU: the budget is the same number."""
    lora = (tiny_loras["text"], 1.0)
    store = WeightStore(Settings(tmp_path, tmp_path, tmp_path))
    identity = FileIdentity(name="text", sha256="0" * 64, size=lora[0].stat().st_size)
    most = 4 * most_numbers(LoraWeights(lora[0], identity, store.inspect(lora[0])))
    manager = PipelineManager(CPU, 10**12)
    pipeline = manager.acquire(base_identity(tiny_base), tiny_base, "float32").pipeline
    sizes = {
        name: sum(weight.nbytes for weight in (*part.parameters(), *part.buffers()))
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }
    budget = sum(sizes.values()) + most // 2
    engine = Engine(Settings(tmp_path, tmp_path, tmp_path, device="cpu", memory_budget=budget))
    rules = MemoryRules("cuda", 2 * budget, budget)
    assert place(rules, sizes).offload is Offload.NONE
    with pytest.raises(OutOfMemory):
        pictures(engine, offloaded(Offload.NONE, tiny_base, lora))
    chosen = place(rules, sizes, most).offload
    assert chosen is Offload.MODEL
    (made,) = pictures(engine, offloaded(chosen, tiny_base, lora))
    assert made.receipt.loras


def test_tiles_change_pixels_so_they_are_the_plans_and_the_next_run_has_none(
    shared: Engine, tiny_base: Path
) -> None:
    """The tiny VAE's tiles are 32 pixels wide."""
    whole = make_job(tiny_base, width=64, height=64)
    settings = whole.plan.settings.model_copy(update={"vae_tiling": True})
    plan = whole.plan.model_copy(update={"settings": settings})
    tiled = LocalJob("r", "s", plan, whole.base_path, {})
    (before,), (pieces,), (after,) = (pictures(shared, job) for job in (whole, tiled, whole))
    assert before.image.tobytes() == after.image.tobytes() != pieces.image.tobytes()
    assert [made.receipt.vae_tiling for made in (before, pieces, after)] == [False, True, False]
    assert plan.fingerprint != whole.plan.fingerprint


def test_the_placement_changes_no_fingerprint(tiny_base: Path) -> None:
    plain = make_job(tiny_base).plan
    placed_plan = offloaded(Offload.MODEL, tiny_base).plan
    assert placed_plan != plain
    assert placed_plan.fingerprint == plain.fingerprint
    assert "vae_tiling" not in plain.model_dump_json()
