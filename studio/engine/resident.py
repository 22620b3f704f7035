"""What is in memory: a base with its LoRAs, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio.engine.families import Family
from studio.engine.folder import Pipeline
from studio.engine.probe import Reading


@dataclass(slots=True)
class Adapter:
    """One LoRA file that is resident in a base.

    Attributes:
        name: the adapter's name inside the pipeline, made from the file's SHA-256.
        scales: (component, module) → alpha / rank, from the file.
        size: bytes in memory.
        waived: what of its file has no place in this base, as the plan said.
        sessions: whose runs have used it; it goes when the last of them ends.
        used: the manager's tick of its last use.
    """

    name: str
    scales: Mapping[tuple[str, str], float]
    size: int
    waived: frozenset[str] = frozenset()
    sessions: set[str] = field(default_factory=set)
    used: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """The last measurement, and the pipeline's state it holds for."""

    token: tuple[object, ...] = field(repr=False)
    base_digest: str
    effect: float | None


@dataclass(slots=True)
class ResidentBase:
    """A base pipeline on the device.

    Attributes:
        key: (SHA-256 of the base's identity, dtype).
        family: its architecture's way through the engine.
        denoiser: the name of the component that denoises.
        size: bytes of the base's own weights.
        scheduler: the base's own scheduler, as loaded; its configuration starts every run's.
        messages: what the libraries said while loading it.
        places: the paths that went into it, by the names that records give them.
        loaded: the probe's reading before any LoRA was near.
        adapters: resident LoRAs by the SHA-256 of their file.
        measured: None until the first measurement with the present adapters.
        effects: state token → effect, of the sets measured since a LoRA came or went.
        spoiled: why this pipeline must not be used again; None while it may.
        preview: (latent channels + 1, 3) map from latents to RGB, fitted on first use.
    """

    key: tuple[str, str]
    label: str
    family: Family
    denoiser: str
    pipeline: Pipeline
    device: torch.device
    dtype: torch.dtype
    size: int
    scheduler: Any
    loaded: Reading
    messages: tuple[str, ...] = ()
    places: dict[Path, str] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    measured: Measured | None = None
    effects: dict[tuple[object, ...], float] = field(default_factory=dict, repr=False)
    spoiled: str | None = None
    preview: torch.Tensor | None = None
    used: int = 0

    def forget_measurements(self) -> None:
        """A LoRA came or went: nothing measured before holds."""
        self.measured = None
        self.effects.clear()

    @property
    def total(self) -> int:
        """Bytes of the base and all its LoRAs."""
        return self.size + sum(adapter.size for adapter in self.adapters.values())


def weights_size(pipeline: Pipeline) -> int:
    """Bytes of all weights and buffers of the pipeline's components."""
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    return sum(tensor.nbytes for part in parts for tensor in (*part.parameters(), *part.buffers()))
