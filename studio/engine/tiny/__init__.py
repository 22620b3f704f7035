"""Tiny pipelines of the real classes: random weights from a seed, real tokenizers, real files.

They show that a pipeline class is run to the letter without a gigabyte of weights: to the tests,
and to users by ``studio doctor --self-test`` (``workspace/self_test.py``), which is why they are
part of the product. Their pictures mean nothing.
Each family has a module of its name, whose ``TINY`` lists its pipeline classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline

__all__ = ["TINY", "Builder", "build_tiny", "save_tiny"]

Builder = Callable[[], Pipeline]

TINY: Mapping[str, Mapping[str, Builder]] = {
    pipeline: variants
    for architecture in Architecture
    if architecture is not Architecture.MINI
    for pipeline, variants in import_module(f"{__name__}.{architecture}").TINY.items()
}
"""diffusers' class → variant → its builder; the first variant is the usual one."""


def build_tiny(pipeline: str, seed: int = 0, variant: str | None = None) -> Pipeline:
    """A tiny pipeline of class ``pipeline``, on the CPU in float32; equal seeds, equal weights.

    Raises:
        KeyError: there is no such pipeline or variant.
    """
    builders = TINY[pipeline]
    build = builders[next(iter(builders)) if variant is None else variant]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        made = build()
    for part in made.components.values():
        if isinstance(part, nn.Module):
            part.eval()  # as it is once loaded: new modules start in training mode
    return made


def save_tiny(pipeline: str, folder: Path, seed: int = 0, variant: str | None = None) -> Path:
    """Save a tiny pipeline in diffusers layout; returns ``folder``.

    Raises:
        KeyError: there is no such pipeline or variant.
    """
    build_tiny(pipeline, seed, variant).save_pretrained(folder, safe_serialization=True)
    name_processors(folder, pipeline)
    return folder


_PROCESSORS = {
    "Flux2Pipeline": ("tokenizer", "PixtralProcessor"),
    "QwenImageEditPipeline": ("processor", "Qwen2VLProcessor"),
    "QwenImageEditPlusPipeline": ("processor", "Qwen2VLProcessor"),
}


def name_processors(folder: Path, pipeline: str) -> None:
    """Rewrite the saved ``pipeline`` in ``folder`` where it has a processor."""
    if pipeline not in _PROCESSORS:
        return
    component, processor = _PROCESSORS[pipeline]
    index = folder / "model_index.json"
    fields = json.loads(index.read_text(encoding="utf-8"))
    fields[component] = ["transformers", processor]
    index.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if processor == "PixtralProcessor":
        _add_pictures(folder / component)


def _add_pictures(folder: Path) -> None:
    from transformers import PixtralImageProcessorPil

    PixtralImageProcessorPil(patch_size={"height": 14, "width": 14}).save_pretrained(folder)
    fields = {
        "processor_class": "PixtralProcessor",
        "patch_size": 14,
        "spatial_merge_size": 2,
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    }
    text = json.dumps(fields, indent=2) + "\n"
    (folder / "processor_config.json").write_text(text, encoding="utf-8")


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
