"""A LoRA file for a tiny pipeline, in diffusers' format."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from studio.engine.base.folder import Pipeline

RANK = 4
SPREAD = 0.1
"""Standard deviation of its weights: enough to be seen in a picture of two steps."""


def save_tiny_lora(pipeline: Pipeline, path: Path, seed: int = 1) -> int:
    """A LoRA on every linear layer of every part that diffusers has LoRAs for.

    Returns:
        How many layers it changes.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for component in pipeline._lora_loadable_modules:
        for name, module in getattr(pipeline, component).named_modules():
            if isinstance(module, nn.Linear):
                shapes = {"A": (RANK, module.in_features), "B": (module.out_features, RANK)}
                for side, shape in shapes.items():
                    weight = torch.randn(shape, generator=generator) * SPREAD
                    tensors[f"{component}.{name}.lora_{side}.weight"] = weight
    save_file(tensors, path, metadata={"format": "pt"})
    return len(tensors) // 2
