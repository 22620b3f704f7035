"""Fixtures every test folder may use; heavy libraries are imported by those who ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from studio.engine import Engine

# Tiny layers are slower in two threads, much so on a busy machine. Every process that a test
# starts inherits it, the studio behind the browser among them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each process that a test starts would compile the whole studio anew, which takes a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

LONGEST = (
    "ui/test_browser.py",
    "ui/test_compare_page.py",
    "engine/test_matrix_formats.py",
    "ui/test_models_browser.py",
    "cli/test_stuck.py",
    "ui/test_trials_page.py",
    "ui/test_paths.py",
    "ui/test_address.py",
    "backends/test_cluster.py",
    "ui/test_axe.py",
    "ui/test_visitors.py",
    "ui/test_own_lora.py",
    "ui/test_strangers.py",
    "inspection/test_model_classes.py",
    "ui/test_standing.py",
    "ui/test_api.py",
    "cli/test_end_to_end.py",
    "engine/test_edits.py",
    "ui/test_recall_browser.py",
    "backends/test_elsewhere.py",
    "resolve/test_compel_parser.py",
    "test_imports.py",
)
"""Files that take a quarter of a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: two workers that take whole files then end at about the same time."""
    root = Path(__file__).parent
    place = {root / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny StableDiffusionPipeline with random weights."""
    from tests.support import tiny

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
