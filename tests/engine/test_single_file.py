"""Bases in one checkpoint file: the same picture as from the folder, nothing from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.architecture import Architecture
from studio.contract.base import FileIdentity
from studio.contract.plan import BaseIdentity
from studio.engine import Engine, LocalJob
from studio.engine.base.single_file import from_single_file
from studio.engine.tiny import build_tiny
from studio.errors import BaseRefused
from studio.inspection.original import diffusers_shapes, stored_as
from tests.support.original import save_original
from tests.support.plans import file_sha256, make_plan, pictures, pixels

CASES = [
    (Architecture.SD15, "StableDiffusionPipeline"),
    (Architecture.SDXL, "StableDiffusionXLPipeline"),
]


def layout_of(folder: Path, layout: Path) -> Path:
    """The folder without its weights."""
    shutil.copytree(folder, layout, ignore=shutil.ignore_patterns("*.safetensors"))
    return layout


@pytest.fixture(scope="module")
def sd_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Path, Path]:
    """(the tiny base as one file, its layout)."""
    from diffusers import StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("single")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    return save_original(pipeline, folder / "tiny.safetensors"), layout_of(
        tiny_base, folder / "layout"
    )


def job_of(
    checkpoint: Path, layout: Path, tokens_from: Path, *loras: tuple[Path, float]
) -> LocalJob:
    plan = make_plan(tokens_from, *loras)
    names = [checkpoint, *(file for file in layout.rglob("*") if file.is_file())]
    files = tuple(
        FileIdentity(
            name=file.name if file == checkpoint else str(file.relative_to(layout)),
            sha256=file_sha256(file),
            size=file.stat().st_size,
        )
        for file in names
    )
    base = plan.base.model_copy(
        update={
            "architecture": Architecture.SD15,
            "files": files,
            "sha256": file_sha256(checkpoint),
        }
    )
    assert isinstance(base, BaseIdentity)
    changed = plan.model_copy(update={"base": base})
    files_of = {path.stem: path for path, _ in loras}
    return LocalJob("r", "s", changed, checkpoint, files_of, layout=layout)


def test_the_picture_of_one_file_is_the_picture_of_the_folder(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    sd_checkpoint: tuple[Path, Path],
) -> None:
    for loras in ((), ((tiny_loras["text"], 1.0),)):
        (made,) = pictures(engine, job_of(*sd_checkpoint, tiny_base, *loras))
        assert made.image.tobytes() == pixels(engine, tiny_base, *loras)
        assert not made.receipt.warnings


@pytest.mark.parametrize("clip_by", ["novelai", "openai"])
def test_clip_by_other_names_is_the_same(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    sd_checkpoint: tuple[Path, Path],
    tmp_path: Path,
    clip_by: str,
) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    path = save_original(pipeline, tmp_path / "other.safetensors", clip_by=clip_by)
    text = (tiny_loras["text"], 1.0)
    (made,) = pictures(engine, job_of(path, sd_checkpoint[1], tiny_base, text))
    assert made.image.tobytes() == pixels(engine, tiny_base, text)
    tensors = load_file(path)
    lost = next(name for name in tensors if name.startswith("cond_stage") and "bias" in name)
    del tensors[lost]
    save_file(tensors, tmp_path / "holed.safetensors")
    with pytest.raises(BaseRefused, match="incomplete"):
        pictures(engine, job_of(tmp_path / "holed.safetensors", sd_checkpoint[1], tiny_base))


def test_a_part_that_is_missing_is_not_taken_from_the_layout(
    engine: Engine, tiny_base: Path, sd_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    """diffusers would take a text encoder's weights from the configurations' folder."""
    checkpoint, _ = sd_checkpoint
    tensors = load_file(checkpoint)
    kept = {key: value for key, value in tensors.items() if not key.startswith("cond_stage")}
    save_file(kept, tmp_path / "headless.safetensors")
    with pytest.raises(BaseRefused, match="no text_encoder"):
        pictures(engine, job_of(tmp_path / "headless.safetensors", tiny_base, tiny_base))


def test_a_weight_that_is_missing_is_no_random_one(
    engine: Engine, tiny_base: Path, sd_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoint, layout = sd_checkpoint
    tensors = load_file(checkpoint)
    del tensors["model.diffusion_model.middle_block.0.in_layers.0.weight"]
    save_file(tensors, tmp_path / "holed.safetensors")
    with pytest.raises(BaseRefused, match="incomplete"):
        pictures(engine, job_of(tmp_path / "holed.safetensors", layout, tiny_base))


def test_a_checkpoint_in_half_precision_counts_as_it_runs(
    engine: Engine, tiny_base: Path, sd_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    from diffusers import StableDiffusionPipeline

    from studio.contract.placement import Offload
    from studio.engine.base.load import BaseSource, estimate
    from studio.engine.base.offload import device_bytes

    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    path = save_original(pipeline, tmp_path / "half.safetensors", torch.float16)
    job = job_of(path, sd_checkpoint[1], tiny_base)
    source = BaseSource(job.plan.base, path, job.layout)
    size = device_bytes(pipeline, Offload.NONE)
    assert estimate(source, torch.float32).whole == pytest.approx(size, rel=0.02)
    assert pictures(engine, job)
    assert engine.memory().used == pytest.approx(size, rel=0.02)


@pytest.mark.parametrize("clip_by", ["transformers", "novelai", "openai"])
@pytest.mark.parametrize(("architecture", "pipeline"), CASES)
def test_the_names_are_those_that_the_loaded_models_have(
    architecture: Architecture, pipeline: str, clip_by: str, tmp_path: Path
) -> None:
    """The plan's map of names against the models that are loaded."""
    made = build_tiny(pipeline)
    made.save_pretrained(tmp_path / "layout")
    path = save_original(made, tmp_path / "one.safetensors", clip_by=clip_by)
    shapes = {name: tuple(value.shape) for name, value in load_file(path).items()}
    found = diffusers_shapes(shapes, architecture, made.unet.config.layers_per_block)
    loaded = from_single_file(path, tmp_path / "layout", pipeline, architecture, torch.float32)
    for component in found.keys() - {"vae"}:
        state = getattr(loaded, component).state_dict()
        bare = {
            name.removeprefix("text_model."): value for name, value in found[component].items()
        }
        assert bare == {
            name.removeprefix("text_model."): tuple(value.shape) for name, value in state.items()
        }
        for name, value in state.items():
            assert torch.equal(value, getattr(made, component).state_dict()[name])
    _check_places(load_file(path), shapes, architecture, made)


def _check_places(
    stored: dict[str, torch.Tensor],
    shapes: dict[str, tuple[int, ...]],
    architecture: Architecture,
    made: Any,
) -> None:
    """Where the map says that a weight lies, it lies."""
    places = stored_as(shapes, architecture, made.unet.config.layers_per_block)
    for component in places.keys() - {"vae"}:
        state = {
            name.removeprefix("text_model."): value
            for name, value in getattr(made, component).state_dict().items()
        }
        for name, (theirs, first, shape) in places[component].items():
            if name != "text_projection.weight":  # which is stored the other way round
                rows = stored[theirs][first : first + shape[0]]
                assert torch.equal(rows, state[name.removeprefix("text_model.")]), name
