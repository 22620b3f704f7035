"""Tiny pipelines of the real classes: random weights from a seed, real tokenizers, real files.

They show that a pipeline class is run to the letter (by the tests, and by the doctor's
self-test on any machine) without a gigabyte of weights. Their pictures mean nothing.
One module per family; a new pipeline class is one more builder and one more line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.flux1 import flux_dev, flux_kontext, flux_schnell
from studio.engine.tiny.flux2 import flux2_dev, flux2_klein, flux2_klein_base
from studio.engine.tiny.published import name_processors
from studio.engine.tiny.qwen import qwen_image, qwen_image_edit, qwen_image_edit_plus
from studio.engine.tiny.sd import stable_diffusion
from studio.engine.tiny.sdxl import sdxl, sdxl_reading_empty
from studio.engine.tiny.zimage import z_image_base, z_image_turbo

__all__ = ["TINY", "Builder", "build_tiny", "save_tiny"]

Builder = Callable[[], Pipeline]

TINY: Mapping[str, Mapping[str, Builder]] = {
    "StableDiffusionPipeline": {"": stable_diffusion},
    "StableDiffusionXLPipeline": {"": sdxl, "reads-empty-negative": sdxl_reading_empty},
    "FluxPipeline": {"dev": flux_dev, "schnell": flux_schnell},
    "FluxKontextPipeline": {"": flux_kontext},
    "Flux2Pipeline": {"": flux2_dev},
    "Flux2KleinPipeline": {"distilled": flux2_klein, "base": flux2_klein_base},
    "QwenImagePipeline": {"": qwen_image},
    "QwenImageEditPipeline": {"": qwen_image_edit},
    "QwenImageEditPlusPipeline": {"": qwen_image_edit_plus},
    "ZImagePipeline": {"turbo": z_image_turbo, "base": z_image_base},
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
