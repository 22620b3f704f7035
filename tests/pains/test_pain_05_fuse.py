"""Users suffer: a fused LoRA cannot be taken out of the base again."""

from __future__ import annotations

from pathlib import Path

from studio.engine import Engine
from studio.engine.lora.slot import slots_of
from tests.support.plans import make_job, pictures


def test_nothing_is_ever_fused(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    pictures(engine, make_job(tiny_base))
    manager = engine._manager
    assert manager is not None
    (base,) = manager._bases.values()
    unet = base.pipeline.unet
    before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    for name in ("plain", "text"):
        pictures(engine, make_job(tiny_base, (tiny_loras[name], 1.0)))
    assert list(slots_of(base.pipeline))
    now = dict(unet.named_parameters())
    for name, weight in before.items():
        module, _, part = name.rpartition(".")
        wrapped = f"{module}.base.{part}"
        assert (now[wrapped] if wrapped in now else now[name]).equal(weight)
