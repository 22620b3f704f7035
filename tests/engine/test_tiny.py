"""The tiny pipelines: real classes, the studio's own way of loading, small and repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio.engine.base.folder import from_folder
from studio.engine.tiny import TINY, save_tiny

EVERY = [(pipeline, variant) for pipeline, variants in TINY.items() for variant in variants]
SIZE_LIMIT = 3_000_000
"""Bytes on disk."""


@pytest.mark.parametrize(("pipeline", "variant"), EVERY)
def test_each_is_small_repeatable_and_loads_as_any_base_does(
    pipeline: str, variant: str, tmp_path: Path
) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (
        save_tiny(pipeline, tmp_path / str(number), seed, variant)
        for number, seed in enumerate((0, 0, 1))
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert sum((first / file).stat().st_size for file in files) <= SIZE_LIMIT
    differs = {
        str(file) for file in files if (first / file).read_bytes() != (second / file).read_bytes()
    }
    assert differs == set()
    weights = [file for file in files if file.suffix == ".safetensors"]
    assert all((first / file).read_bytes() != (other / file).read_bytes() for file in weights)
    loaded = from_folder(first, pipeline, torch.float32)
    assert type(loaded).__name__ == pipeline


def test_nothing_stands_in_for_an_unknown_one(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        save_tiny("StableDiffusionXLPipeline", tmp_path, variant="turbo-turbo")
