"""Bases: from where they load, what is refused, and what goes when memory is short."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from studio.architecture import Architecture
from studio.engine import Engine, LocalJob
from studio.engine.base.load import BaseSource, estimate
from studio.engine.base.manager import PipelineManager
from studio.engine.device import choose_device, describe, torch_dtype
from studio.engine.families import FAMILIES
from studio.errors import (
    BaseRefused,
    DeviceError,
    OutOfMemory,
    StudioError,
    UnsupportedArchitecture,
    UnsupportedDtype,
)
from studio.settings import Settings
from tests.support import tiny
from tests.support.plans import base_identity, make_job, pictures, pixels

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def three_bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bases")
    return [tiny.save_base(folder / f"base{seed}", seed) for seed in (1, 2, 3)]


def test_the_least_recently_used_base_goes_and_is_really_freed(three_bases: list[Path]) -> None:
    probe = PipelineManager(CPU, 10**12)
    size = probe.acquire(base_identity(three_bases[0]), three_bases[0], "float32").size
    manager = PipelineManager(CPU, int(2.5 * size))
    one, two = (manager.acquire(base_identity(path), path, "float32") for path in three_bases[:2])
    assert manager.acquire(base_identity(three_bases[0]), three_bases[0], "float32") is one
    watched = weakref.ref(two.pipeline.unet)
    manager.acquire(base_identity(three_bases[2]), three_bases[2], "float32")
    assert watched() is None
    assert manager.used() <= manager.budget
    assert one.pipeline is not None


def test_only_the_files_that_are_loaded_count_before_loading(
    tiny_base: Path, tmp_path: Path
) -> None:
    """In float32, as they take it, although the files hold half of that; a stray checkpoint
    beside them takes no room."""
    folder = tmp_path / "half"
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, dtype=torch.float16)
    pipeline.save_pretrained(folder)
    identity = base_identity(folder)
    exact = PipelineManager(CPU, 10**12).acquire(identity, folder, "float32").size
    for stray in ("checkpoint.safetensors", "unet/model.safetensors"):
        shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", folder / stray)
    source = BaseSource(identity, folder)
    assert estimate(source, torch.float32).whole == pytest.approx(exact, rel=0.02)
    assert estimate(source, torch.bfloat16).whole == pytest.approx(exact / 2, rel=0.02)


def test_evicting_comes_before_loading(three_bases: list[Path]) -> None:
    probe = PipelineManager(CPU, 10**12)
    size = probe.acquire(base_identity(three_bases[0]), three_bases[0], "float32").size
    manager = PipelineManager(CPU, size + size // 2)
    peaks: list[int] = []
    load = manager._load

    def watched_load(*args: object) -> object:
        peaks.append(manager.used())
        return load(*args)  # type: ignore[arg-type]

    manager._load = watched_load  # type: ignore[method-assign,assignment]
    for path in three_bases:
        manager.acquire(base_identity(path), path, "float32")
    assert peaks == [0, 0, 0]


def test_a_base_larger_than_the_budget_is_refused_and_nothing_is_evicted(
    three_bases: list[Path],
) -> None:
    manager = PipelineManager(CPU, 10**12)
    manager.acquire(base_identity(three_bases[0]), three_bases[0], "float32")
    manager.budget = 1000
    with pytest.raises(OutOfMemory, match="MEMORY_BUDGET_GB"):
        manager.acquire(base_identity(three_bases[1]), three_bases[1], "float32")
    assert len(manager.memory().bases) == 1


def test_loras_count_in_the_budget_and_idle_ones_go_first(
    tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    engine = Engine(Settings(tmp_path, tmp_path, tmp_path, device="cpu"))
    before = pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    manager = engine._manager
    assert manager is not None
    manager.budget = manager.used() + 1000
    assert pixels(engine, tiny_base, (tiny_loras["other"], 1.0)) != before
    assert engine.memory().loras == 1
    with pytest.raises(OutOfMemory, match="fewer LoRAs"):
        pictures(
            engine, make_job(tiny_base, (tiny_loras["other"], 1.0), (tiny_loras["plain"], 1.0))
        )
    assert pixels(engine, tiny_base, (tiny_loras["plain"], 1.0)) == before


def _without_weights(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def _only_pickle(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def _half_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    kept = {key: value for key, value in load_file(file).items() if "mid_block" not in key}
    save_file(kept, file, metadata={"format": "pt"})


def _nan_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_in.weight"] *= float("nan")
    save_file(weights, file, metadata={"format": "pt"})


def _index(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "model_index.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_weights, "cannot be loaded"),
        (_only_pickle, "cannot be loaded"),
        (_half_the_weights, "incomplete"),
        (_nan_weights, "no finite numbers"),
        (_index(_class_name="StableDiffusionXLPipeline"), "is no StableDiffusionPipeline"),
        (_index(unet=["my_code", "UNet"]), "asks for code of 'my_code'"),
        (lambda folder: (folder / "model_index.json").unlink(), "no model_index.json"),
    ],
)
def test_a_spoiled_base_is_refused_and_never_replaced(
    spoil: Callable[[Path], None], message: str, engine: Engine, tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spoiled"
    shutil.copytree(tiny_base, folder)
    spoil(folder)
    with pytest.raises(BaseRefused, match=message) as caught:
        pictures(engine, make_job(folder))
    assert str(tmp_path) not in str(caught.value)
    assert engine.memory().bases == ()
    assert pixels(engine, tiny_base)


def test_a_base_whose_safety_checker_is_not_there_loads_without(
    engine: Engine, tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    _index(
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        requires_safety_checker=True,
    )(folder)
    assert pixels(engine, folder) == pixels(engine, tiny_base)


def test_other_architectures_are_named(
    engine: Engine, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FAMILIES, Architecture.FLUX1)
    job = make_job(tiny_base)
    base = job.plan.base.model_copy(update={"architecture": Architecture.FLUX1})
    plan = job.plan.model_copy(update={"base": base})
    with pytest.raises(UnsupportedArchitecture, match=r"FLUX\.1"):
        pictures(engine, LocalJob("r", "s", plan, tiny_base, {}))


def test_float16_on_a_cpu_is_refused_by_name(engine: Engine, tiny_base: Path) -> None:
    with pytest.raises(UnsupportedDtype, match="float16"):
        pictures(engine, make_job(tiny_base, dtype="float16"))


def test_bfloat16_is_another_resident_with_the_same_proofs(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    (made,) = pictures(engine, make_job(tiny_base, (tiny_loras["text"], 1.0), dtype="bfloat16"))
    assert made.receipt.dtype == "bfloat16"
    (base,) = pictures(engine, make_job(tiny_base, dtype="bfloat16"))
    assert base.receipt.base_proof.holds
    assert base.image.tobytes() != made.image.tobytes()


@pytest.mark.parametrize("wanted", ["tpu", "cuda:99", "cpu:1", "cuda:x"])
def test_a_device_that_is_not_there_is_named(wanted: str) -> None:
    with pytest.raises(DeviceError):
        choose_device(wanted)


def test_devices_and_dtypes() -> None:
    assert choose_device("cpu") == CPU
    assert describe(CPU).startswith("CPU, ")
    assert torch_dtype("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(StudioError, match="int8"):
        torch_dtype("int8", CPU)


def test_equal_files_run_as_another_family_are_another_base(
    engine: Engine, tiny_base: Path
) -> None:
    pixels(engine, tiny_base)
    manager, identity = engine._manager, base_identity(tiny_base, tiny_base.name)
    assert manager is not None
    assert manager.holds(identity, "float32")
    for change in ({"pipeline": "FluxPipeline"}, {"architecture": Architecture.SD15}):
        assert not manager.holds(identity.model_copy(update=change), "float32")
