"""Tiny pipelines of the real classes: random weights from a seed, real tokenizers, real files.

They show that a pipeline class is run to the letter (by the tests, and by the doctor's
self-test on any machine) without a gigabyte of weights. Their pictures mean nothing.
Each family has a module of its name, whose ``TINY`` lists its pipeline classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline
from studio.engine.tiny.published import name_processors

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
