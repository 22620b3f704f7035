"""Users suffer: a LoRA silently has no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.engine import Engine
from studio.errors import LoraRefused
from tests.support import tiny
from tests.support.plans import make_job, pictures


def test_the_effect_is_measured_before_the_picture(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    (weak,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 0.1)))
    (strong,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0)))
    assert weak.receipt.layer_effect is not None
    assert strong.receipt.layer_effect is not None
    assert 0 < weak.receipt.layer_effect < strong.receipt.layer_effect


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_a_lora_without_effect_is_refused(
    size: float, engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """Whether its weights are zero, or too small for this base to compute with."""
    idle = tiny.rewrite(
        tiny_loras["plain"],
        tmp_path / "idle.safetensors",
        lambda t: {key: value * size if "lora_B" in key else value for key, value in t.items()},
    )
    with pytest.raises(LoraRefused, match="changes nothing"):
        pictures(engine, make_job(tiny_base, (idle, 1.0)))
    with pytest.raises(LoraRefused, match="changes nothing") as caught:
        pictures(engine, make_job(tiny_base, (tiny_loras["text"], 1.0), (idle, 1.0)))
    assert caught.value.slug == "idle", "it does not hide beside one that works"


def test_each_of_several_loras_has_its_own_effect(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    sets = {name: (tiny_loras[name], 0.8) for name in ("plain", "text")}
    alone = {
        name: pictures(engine, make_job(tiny_base, lora))[0].receipt for name, lora in sets.items()
    }
    off = (tiny_loras["other"], 0.0)
    (both,) = pictures(engine, make_job(tiny_base, *sets.values(), off))
    found = {lora.slug: lora.layer_effect for lora in both.receipt.loras}
    assert found == {"other": None} | {name: each.layer_effect for name, each in alone.items()}
    assert both.receipt.layer_effect not in found.values()
    assert all(lora.layer_effect is None for each in alone.values() for lora in each.loras)
