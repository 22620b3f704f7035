"""A fixed probe: the same tokens and latents through the text encoders and the denoiser.

Its output's SHA-256 says whether the base is what it was, to the bit; the change of its
output says whether the LoRAs do anything. Its inputs are few and small: about 2 % of a mini
picture of 20 steps (measured on one CPU core), less of any larger base. Its smallness costs
nothing in strictness, because every layer that reads words or denoises takes part in it; those
of an encoder that look at pictures (Qwen-Image's vision tower) do not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.run.numbers import raw_bytes

if TYPE_CHECKING:
    from studio.engine.families import EngineFamily

TOKENS = 16
TIMESTEP = 500
TRAINED_STEPS = 1000
"""Flow-matching models read the timestep as its share of them."""
SEED = 20_240_501


@dataclass(frozen=True, slots=True)
class Reading:
    """What the probe gave: the digest over all outputs, and the denoiser's (CPU, float32)."""

    digest: str
    output: torch.Tensor = field(repr=False)

    @property
    def finite(self) -> bool:
        return bool(torch.isfinite(self.output).all())


@torch.no_grad()
def read_probe(family: EngineFamily, pipeline: Pipeline) -> Reading:
    """Run the probe in the pipeline's present state; touches no random state."""
    outputs = family.probe(pipeline)
    total = hashlib.sha256()
    for output in outputs:
        total.update(raw_bytes(output))
    return Reading(total.hexdigest(), outputs[-1].float().cpu())


def relative_change(with_loras: Reading, without: Reading) -> float:
    """``|with - without| / |without|`` (Euclidean norms of the denoiser's output).

    The denoiser reads the text encoders' output, so a LoRA of them alone shows in it too.
    """
    change = (with_loras.output.double() - without.output.double()).norm()
    return float(change / without.output.double().norm())


def fixed_noise(shape: tuple[int, ...], model: nn.Module) -> torch.Tensor:
    """The same normal noise each time, on the device and in the dtype of ``model``."""
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(SEED))
    return noise.to(device_of(model), next(model.parameters()).dtype)


def fixed_words(count: int, vocabulary: int) -> list[int]:
    """Arbitrary token ids below ``vocabulary``, the same each time."""
    return [(101 + 7919 * index) % vocabulary for index in range(count)]
