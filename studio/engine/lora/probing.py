"""What the families' probes have in common: fixed noise, a fixed time, fixed words."""

from __future__ import annotations

import torch
from torch import nn

from studio.engine.base.offload import device_of

TOKENS = 16
TIMESTEP = 500
TRAINED_STEPS = 1000
"""Flow-matching models read the timestep as its share of them."""
SEED = 20_240_501


def fixed_noise(shape: tuple[int, ...], model: nn.Module) -> torch.Tensor:
    """The same normal noise each time, on the device and in the dtype of ``model``."""
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(SEED))
    return noise.to(device_of(model), next(model.parameters()).dtype)


def fixed_words(count: int, vocabulary: int) -> list[int]:
    """Arbitrary token ids below ``vocabulary``, the same each time."""
    return [(101 + 7919 * index) % vocabulary for index in range(count)]
