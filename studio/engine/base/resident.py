"""What is in memory: a base with its LoRAs, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from studio.architecture import Architecture
from studio.contract.placement import Offload
from studio.engine.base.folder import Pipeline
from studio.engine.base.load import BaseSource
from studio.engine.families import Encoded, EngineFamily
from studio.engine.lora.effect import MeasuredEffect, Sample
from studio.engine.lora.probe import Reading

KEPT = 512
"""Measurements of each kind that are kept per base."""


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


BaseKey = tuple[str, str, Offload, Architecture, str]


@dataclass(slots=True)
class PlacedBase:
    """A base's pipeline where it will compute, and nothing measured of it."""

    source: BaseSource
    key: BaseKey
    dtype: torch.dtype
    pipeline: Pipeline
    heard: tuple[str, ...]
    whole: int
    size: int


@dataclass(slots=True)
class Proof:
    """That with every LoRA off the base computes what it did when it was loaded.

    Attributes:
        state: of the base's own weights, which it holds for (``Survey.base``).
        digest: of the probe, as read then.
        touched: whether a LoRA came, went or was switched on since.
    """

    state: str
    digest: str
    touched: bool = False


@dataclass(slots=True)
class ResidentBase:
    """A base pipeline on the device.

    Attributes:
        key: (SHA-256 of the base's identity, dtype, offload, architecture, pipeline class):
            the same files can be run as another family.
        architecture: as its preset says it.
        family: its architecture's way through the engine.
        denoiser: the name of the component that denoises.
        size: bytes of the base's own weights on the device, at most at one time.
        host: bytes of them that are kept in main memory beside a device; 0 if none.
        scheduler: the base's own scheduler, as loaded; its configuration starts every run's.
        messages: what the libraries said while loading it.
        places: the paths that went into it, by the names that records give them.
        loaded: the probe's reading before any LoRA was near.
        adapters: resident LoRAs by the SHA-256 of their file.
        proof: the latest one, the first of which is the reading at its loading; None while a
            new one is made.
        samples: inputs and outputs of its layers from that reading, by (component, module).
        measured: state of some LoRAs → what they add to the samples; the latest ones.
        effects: (state of the base, of the LoRAs at work) → change of the probe's output, where
            the samples do not tell; the latest ones.
        encodings: prompts as they were read lately (see ``encodings``).
        spoiled: why this pipeline must not be used again; None while it may.
        preview: (latent channels + 1, 3) map from latents to RGB: the base's own, or fitted on
            first use.
    """

    key: BaseKey
    label: str
    architecture: Architecture
    family: EngineFamily
    denoiser: str
    pipeline: Pipeline
    device: torch.device
    dtype: torch.dtype
    size: int
    host: int
    scheduler: Any
    loaded: Reading
    messages: tuple[str, ...] = ()
    places: dict[Path, str] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    proof: Proof | None = None
    samples: Mapping[tuple[str, str], Sample] = field(default_factory=dict, repr=False)
    measured: dict[str, MeasuredEffect] = field(default_factory=dict, repr=False)
    effects: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)
    encodings: dict[str, Encoded] = field(default_factory=dict, repr=False)
    spoiled: str | None = None
    preview: torch.Tensor | None = None
    used: int = 0

    def touch(self) -> None:
        """Say that a LoRA comes, goes or is switched on: the next base run is proven anew."""
        if self.proof is not None:
            self.proof.touched = True

    @property
    def total(self) -> int:
        """Bytes of the base and all its LoRAs."""
        return self.size + sum(adapter.size for adapter in self.adapters.values())


Key = TypeVar("Key")
Kept = TypeVar("Kept")


def remember(known: dict[Key, Kept], key: Key, value: Kept) -> None:
    """Keep a measurement; the oldest goes when there are KEPT of them."""
    if len(known) >= KEPT:
        known.pop(next(iter(known)))
    known[key] = value
