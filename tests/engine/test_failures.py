"""What an error in the middle leaves behind: a base that is itself, or one that is dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.engine import Engine
from studio.engine.base.resident import ResidentBase
from studio.engine.lora import inject
from studio.engine.lora.inject import WantedLora
from studio.engine.lora.receipts import receipts
from studio.engine.lora.switch import set_loras
from studio.errors import LoraRefused, OutOfMemory
from tests.support.plans import file_sha256, make_job, pictures, pixels


def resident(engine: Engine) -> ResidentBase:
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    return base


def test_an_error_while_decoding_leaves_the_vae_in_its_dtype(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As SDXL's pipeline decodes: the VAE goes to a wider dtype, and an error skips the way
    back."""
    job = make_job(tiny_base, (tiny_loras["plain"], 0.7))
    expected = pictures(engine, job)[0].image.tobytes()
    vae = resident(engine).pipeline.vae

    def broken(*_: Any, **__: Any) -> None:
        vae.to(torch.float64)
        raise MemoryError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(vae, "decode", broken)
        with pytest.raises(OutOfMemory):
            pictures(engine, job)
    assert vae.dtype == torch.float32
    assert resident(engine).pipeline.vae is vae, "the base was kept"
    assert pictures(engine, job)[0].image.tobytes() == expected


@pytest.mark.parametrize("proven", [True, False])
def test_a_base_that_a_failed_lora_touched_is_proven_or_dropped(
    proven: bool,
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = pixels(engine, tiny_base)
    before = resident(engine)

    def broken(*_: Any) -> None:
        raise MemoryError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(inject, "check_weights", lambda *_: ("planted",))
        if not proven:
            planted.setattr(inject, "read_probe", broken)
        with pytest.raises(LoraRefused, match="planted") as caught:
            pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0)))
    notes = getattr(caught.value, "__notes__", [])
    assert bool(notes) is not proven
    assert (before.spoiled is None) is proven
    assert bool(engine.memory().bases) is proven
    assert pixels(engine, tiny_base) == expected


def test_the_receipts_strength_is_what_the_modules_hold(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    path = tiny_loras["kohya"]
    pictures(engine, make_job(tiny_base, (path, 0.7)))
    manager, base = engine._manager, resident(engine)
    assert manager is not None
    wanted = WantedLora("kohya", file_sha256(path), 0.7, path)
    found = set_loras(base, (wanted,), manager.make_room)
    assert receipts(base, found)[0].strength == 0.7
    claimed = replace(found, wanted=(replace(wanted, strength=0.9),))
    assert receipts(base, claimed)[0].strength == 0.7
