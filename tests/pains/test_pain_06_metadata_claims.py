"""Users suffer: the picture's metadata claims a LoRA that was not used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.events import Failed
from tests import tiny
from tests.studios import TinyStudio


@pytest.fixture
def studio(tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path) -> Iterator[TinyStudio]:
    idle = tiny.rewrite(
        tiny_loras["plain"],
        tmp_path / "idle.safetensors",
        lambda t: {key: value * 0 if "lora_B" in key else value for key, value in t.items()},
    )
    loras = {"ink": (tiny_loras["text"], "inkstyle"), "idle": (idle, "")}
    folder = tmp_path / "studio"
    folder.mkdir()
    opened = TinyStudio.open(
        folder, "StableDiffusionPipeline", tiny_base, loras, guidance_scale=4.0
    )
    yield opened
    opened.workspace.close()


def test_the_record_counts_the_modules_that_carried_it(studio: TinyStudio) -> None:
    made = studio.make(("ink", 0.8), mode=Mode.LORA)
    (lora,) = made.record.receipt.loras
    assert (lora.slug, lora.strength) == ("ink", 0.8)
    assert {part.component: part.applied for part in lora.components} == {
        "text_encoder": 18,
        "unet": 48,
    }
    assert studio.make(mode=Mode.BASE).record.receipt.loras == ()


def test_a_lora_that_was_refused_leaves_no_picture(studio: TinyStudio) -> None:
    before = list(studio.workspace.gallery.outputs.rglob("*.png"))
    plan = studio.plan(studio.request(("idle", 1.0), mode=Mode.LORA))
    last = studio.events(plan)[-1]
    assert isinstance(last, Failed)
    assert "changes nothing" in last.message
    assert list(studio.workspace.gallery.outputs.rglob("*.png")) == before
