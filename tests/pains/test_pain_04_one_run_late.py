"""Users suffer: a changed strength lands one generation late."""

from __future__ import annotations

from pathlib import Path

from studio.engine import Engine
from studio.settings import Settings
from tests.support.plans import pixels


def test_a_strength_counts_in_the_very_next_picture(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    lora = tiny_loras["plain"]
    pixels(engine, tiny_base, (lora, 0.3))
    changed = pixels(engine, tiny_base, (lora, 1.2))
    fresh = Engine(Settings(tmp_path, tmp_path, tmp_path, device="cpu"))
    assert changed == pixels(fresh, tiny_base, (lora, 1.2))
    assert pixels(engine, tiny_base, (lora, 0.3)) != changed
