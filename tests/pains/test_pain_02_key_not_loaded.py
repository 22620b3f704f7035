"""Users suffer: \"lora key not loaded\", and nobody says whether that matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.engine import Engine
from studio.errors import LoraRefused
from tests.support import tiny
from tests.support.plans import make_job, pictures


@pytest.mark.parametrize("stray", [1, 5])
def test_a_layer_without_a_place_is_named_and_nothing_runs(
    stray: int, engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    def change(tensors: tiny.Tensors) -> tiny.Tensors:
        known = sorted(key for key in tensors if "lora_A" in key)[:stray]
        moved = {key: key.replace("unet.", "unet.elsewhere.") for key in known}
        moved |= {
            key.replace("lora_A", "lora_B"): new.replace("lora_A", "lora_B")
            for key, new in moved.items()
        }
        return {moved.get(key, key): value for key, value in tensors.items()}

    file = tiny.rewrite(tiny_loras["plain"], tmp_path / "stray.safetensors", change)
    with pytest.raises(LoraRefused) as caught:
        pictures(engine, make_job(tiny_base, (file, 1.0)))
    says = "1 layer of the file does" if stray == 1 else "5 layers of the file do"
    assert caught.value.evidence[0].startswith(f"{says} not exist in the base: elsewhere.")
    assert caught.value.way_out
