"""A LoRA file put into a pipeline in memory, past the engine's queue, and taken out again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from studio.engine.base.folder import Pipeline
from studio.engine.families import EngineFamily
from studio.engine.lora.build import build
from studio.engine.lora.inject import check_weights, inject, remove
from studio.engine.lora.match import Target, fit_to_base
from studio.engine.lora.read import LoraFile, read_lora
from studio.engine.lora.slot import slots_of, switch_on

NAME = "applied"


def read(path: Path) -> LoraFile:
    return read_lora(path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest())


@contextmanager
def apply(
    pipeline: Pipeline, path: Path, strength: float = 1.0, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[Target, ...]]:
    """The file's layers at work while the block runs; yields where they went."""
    targets = fit_to_base(read(path), pipeline)
    layers = build(path.stem, targets, dtype)
    inject(pipeline, NAME, layers, torch.device("cpu"))
    try:
        assert check_weights(pipeline, NAME, layers) == ()
        switch_on(slots_of(pipeline), {NAME: strength})
        yield targets
    finally:
        remove(pipeline, NAME)


@torch.no_grad()
def probe(family: EngineFamily, pipeline: Pipeline) -> list[Tensor]:
    return [output.float() for output in family.probe(pipeline)]
