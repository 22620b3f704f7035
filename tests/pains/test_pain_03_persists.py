"""Users suffer: a LoRA persists after its removal and contaminates the base; drift."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.engine import Engine
from studio.errors import LoraRefused
from tests.support import tiny
from tests.support.plans import make_job, pictures, pixels


def test_the_base_is_itself_after_every_lora(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    before = pixels(engine, tiny_base)
    for _ in range(3):
        for name in ("plain", "text", "kohya"):
            assert pixels(engine, tiny_base, (tiny_loras[name], 1.0)) != before
    (after,) = pictures(engine, make_job(tiny_base))
    assert after.image.tobytes() == before
    assert after.receipt.base_proof.holds
    assert after.receipt.loras == ()


def test_and_after_a_refused_one(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    before = pixels(engine, tiny_base)
    key = "unet.conv_in.lora_A.weight"
    bad = tiny.rewrite(
        tiny_loras["text"],
        tmp_path / "bad.safetensors",
        lambda t: t | {key: next(iter(t.values())).clone()},
    )
    with pytest.raises(LoraRefused):
        pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0), (bad, 1.0)))
    assert pixels(engine, tiny_base) == before
