"""Fixtures every test folder may use; heavy libraries are imported by those who ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from studio.engine import Engine


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny StableDiffusionPipeline with random weights."""
    import torch

    from tests.support import tiny

    torch.set_num_threads(1)  # tiny layers are slower in two threads, much so on a busy machine
    return tiny.save_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def tiny_loras(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LoRAs for the tiny base: ``plain`` (UNet, rank 4), ``other`` (the same, other weights),
    ``text`` (UNet and text encoder, rank 8, alpha 4), ``kohya`` (``text`` in kohya's names,
    alpha 2)."""
    from tests.support import tiny

    folder = tmp_path_factory.mktemp("loras")
    text = tiny.make_lora(
        tiny_base, folder / "text.safetensors", rank=8, alpha=4, text_encoder=True, seed=2
    )
    return {
        "plain": tiny.make_lora(tiny_base, folder / "plain.safetensors", seed=1),
        "other": tiny.make_lora(tiny_base, folder / "other.safetensors", seed=3),
        "text": text,
        "kohya": tiny.to_kohya(text, folder / "kohya.safetensors", 2.0),
    }


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine on the CPU with nothing resident."""
    from studio.engine import Engine
    from studio.settings import Settings

    return Engine(Settings(tmp_path, tmp_path, tmp_path, device="cpu"))
