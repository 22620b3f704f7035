"""Whether a family's probe notices a change anywhere a LoRA could make one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from studio.engine.families import EngineFamily
from studio.engine.lora.probe import read_probe

LAYERS = (torch.nn.Linear, torch.nn.Conv2d)


@torch.no_grad()
def demand_probe_sees(family: EngineFamily, pipeline: Any, components: Sequence[str]) -> None:
    """Change one weight of each layer in turn: the digest must change, and come back."""
    before = read_probe(family, pipeline)
    assert before.finite
    for component in components:
        unseen = [
            f"{component}.{name}"
            for name, module in getattr(pipeline, component).named_modules()
            if isinstance(module, LAYERS) and not _seen(family, pipeline, module, before.digest)
        ]
        assert unseen == []
    assert read_probe(family, pipeline).digest == before.digest


def _seen(family: EngineFamily, pipeline: Any, module: torch.nn.Module, before: str) -> bool:
    weight = module.get_parameter("weight")
    kept = weight.detach().clone()
    weight[0] += 1
    changed = read_probe(family, pipeline).digest != before
    weight.copy_(kept)
    return changed
