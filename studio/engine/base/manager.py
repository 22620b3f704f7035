"""Bases and LoRAs resident up to a memory budget; the least recently used goes first.

Not thread-safe: the engine calls it from the device's one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from studio.architecture import traits_of
from studio.contract.placement import Offload
from studio.contract.plan import BaseIdentity
from studio.engine.base.folder import read_map
from studio.engine.base.load import BaseSource, estimate, load_pipeline
from studio.engine.base.offload import device_bytes, place_pipeline, take_in
from studio.engine.base.resident import Adapter, BaseKey, PlacedBase, Proof, ResidentBase
from studio.engine.device import free_memory, give_back, named_errors, torch_dtype
from studio.engine.families import family_of
from studio.engine.hardware import automatic_budget
from studio.engine.lora.effect import sampling
from studio.engine.lora.inject import remove
from studio.engine.lora.probe import read_probe
from studio.engine.lora.prove import survey
from studio.errors import BaseRefused, OutOfMemory, WeightsError
from studio.machine import main_memory
from studio.storage.atomic import Stamp


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that resident weights take, and what they may take."""

    used: int
    budget: int
    bases: tuple[str, ...]
    loras: int


class PipelineManager:
    """Owns everything resident on one device."""

    def __init__(self, device: torch.device, budget: int, host_budget: int | None = None) -> None:
        self.device = device
        self.budget = budget
        self.host_budget = automatic_budget(main_memory()) if host_budget is None else host_budget
        self._bases: dict[BaseKey, ResidentBase] = {}
        self._placed: dict[BaseKey, PlacedBase] = {}
        self._tick = 0

    def acquire(
        self,
        identity: BaseIdentity,
        path: Path,
        dtype: str,
        layout: Path | None = None,
        offload: Offload = Offload.NONE,
        stamps: Mapping[str, Stamp] | None = None,
    ) -> ResidentBase:
        """The base, resident and probed; room is made before anything is allocated.

        Args:
            path: its folder, or its one checkpoint file, whose configurations are ``layout``.
            stamps: of its files, from before they were proven.

        Raises:
            WeightsError: a file changed since it was proven; nothing of it stays in memory.
            UnsupportedDtype, UnsupportedArchitecture, BaseRefused, OutOfMemory, DeviceError.
        """
        key = _key(identity, dtype, offload)
        base = self._bases.get(key)
        if base is None:
            placed = self._placed.get(key)
            if placed is None:
                source = BaseSource(identity, path, layout, stamps or {})
                wanted = torch_dtype(dtype, self.device)
                needs = estimate(source, wanted)
                if offload is not Offload.NONE:
                    self._make_host_room(needs.whole)
                self.make_room(needs.on_device(offload), keep=None)
                placed = self._load(source, key, wanted)
            base = self._measured(placed)
            self._bases[key] = base
        base.used = self.tick()
        return base

    def place(self, source: BaseSource, dtype: str) -> None:
        """Load a base onto the device for good and measure nothing of it: whoever acquires it
        does, in this process or in a fork of it, where the device may be another.

        Raises:
            As ``acquire``.
        """
        key = _key(source.identity, dtype, Offload.NONE)
        wanted = torch_dtype(dtype, self.device)
        self.make_room(estimate(source, wanted).whole, keep=None)
        self._placed[key] = self._load(source, key, wanted)

    def is_placed(self, identity: BaseIdentity, dtype: str) -> bool:
        return _key(identity, dtype, Offload.NONE) in self._placed

    def holds(self, identity: BaseIdentity, dtype: str, offload: Offload = Offload.NONE) -> bool:
        return _key(identity, dtype, offload) in self._bases

    def tick(self) -> int:
        """A clock of uses: larger is more recent."""
        self._tick += 1
        return self._tick

    def _load(self, source: BaseSource, key: BaseKey, dtype: torch.dtype) -> PlacedBase:
        offload = key[2]
        with named_errors(self.device, f"the base {source.identity.label}"):
            pipeline, heard = load_pipeline(source, dtype)
            # Asked before the hooks: they leave weights without storage.
            whole = device_bytes(pipeline, Offload.NONE)
            size = device_bytes(pipeline, offload)
            if self.device.type == "cpu" or offload is not Offload.NONE:
                take_in(pipeline)
            place_pipeline(pipeline, self.device, offload)
        return PlacedBase(source, key, dtype, pipeline, heard, whole, size)

    def _measured(self, placed: PlacedBase) -> ResidentBase:
        source, key, pipeline = placed.source, placed.key, placed.pipeline
        identity, offload = source.identity, key[2]
        family = family_of(identity.architecture)
        with (
            named_errors(self.device, f"the base {identity.label}"),
            sampling(pipeline) as samples,
        ):
            reading = read_probe(family, pipeline)
        # Not before: weights are read from their files until they are on the device.
        try:
            source.demand_unchanged()
        except WeightsError:
            self._placed.pop(key, None)
            placed.pipeline = pipeline = None
            samples.clear()
            free_memory(self.device)
            raise
        if not reading.finite:
            raise BaseRefused(
                f"The base {identity.label} computes no finite numbers in {key[1]}.",
                "Choose another precision for it, or fetch it again.",
            )
        return ResidentBase(
            key=key,
            label=identity.label,
            architecture=identity.architecture,
            family=family,
            denoiser=traits_of(identity.architecture).denoiser,
            pipeline=pipeline,
            device=self.device,
            dtype=placed.dtype,
            size=placed.size,
            host=0 if offload is Offload.NONE else placed.whole,
            scheduler=pipeline.scheduler,
            loaded=reading,
            samples=samples,
            messages=placed.heard,
            places=dict(source.places),
            proof=Proof(survey(pipeline).base, reading.digest),
            preview=read_map(source.path),
        )

    def resident(self) -> dict[str, frozenset[str]]:
        """SHA-256 of each resident base → those of the LoRAs in it."""
        return {key[0]: frozenset(base.adapters) for key, base in self._bases.items()}

    def used(self) -> int:
        held = sum(each.size for each in self._placed.values())
        return held + sum(base.total - self._in_place(base) for base in self._bases.values())

    def _in_place(self, base: ResidentBase) -> int:
        """Bytes of it that were on the device before it was acquired."""
        return base.size if base.key in self._placed else 0

    def memory(self) -> Memory:
        bases = tuple(base.label for base in self._bases.values())
        loras = sum(len(base.adapters) for base in self._bases.values())
        return Memory(self.used(), self.budget, bases, loras)

    def make_room(
        self, size: int, keep: ResidentBase | None, needed: frozenset[str] = frozenset()
    ) -> None:
        """Evict the least recently used until ``size`` more bytes fit the budget.

        Args:
            keep: the base of the present run, and ``needed`` the SHA-256 of its LoRAs; they
                stay. Other bases go with their LoRAs, but for those that are placed for good.

        Raises:
            OutOfMemory: it cannot fit even then; nothing that was needed is evicted.
        """
        kept = sum(each.size for each in self._placed.values())
        if keep is not None:
            kept += keep.size - self._in_place(keep)
            kept += sum(keep.adapters[sha].size for sha in needed if sha in keep.adapters)
        if kept + size > self.budget:
            raise OutOfMemory(
                f"This run needs {_mib(kept + size)} of weights in memory, "
                f"and the budget is {_mib(self.budget)}.",
                "Raise MEMORY_BUDGET_GB, or choose a smaller base or fewer LoRAs.",
            )
        held = len(self._bases)
        while self.used() + size > self.budget:
            self._evict_oldest(keep, needed)
        # A LoRA is freed when nothing refers to it; a pipeline refers to itself.
        if len(self._bases) < held:
            free_memory(self.device)

    def _make_host_room(self, size: int) -> None:
        """The same for weights that are kept in main memory beside the device.

        Raises:
            OutOfMemory: they cannot fit even alone; nothing is evicted.
        """
        if size > self.host_budget:
            raise OutOfMemory(
                f"Offloading keeps {_mib(size)} of weights in main memory, "
                f"and there is room for {_mib(self.host_budget)}.",
                "Choose a smaller base, or a precision of half the size.",
            )
        offloaded = [base for base in self._bases.values() if base.host]
        kept, held = sum(base.host for base in offloaded), len(self._bases)
        for base in sorted(offloaded, key=lambda base: base.used):
            if kept + size <= self.host_budget:
                break
            kept -= base.host
            self.drop(base)
        # Before the other one is loaded: a pipeline refers to itself.
        if len(self._bases) < held:
            free_memory(self.device)

    def _evict_oldest(self, keep: ResidentBase | None, needed: frozenset[str]) -> None:
        idle: list[tuple[int, str, ResidentBase]] = []
        for base in self._bases.values():
            if base is not keep and base.key not in self._placed:
                idle.append((base.used, "", base))  # before a LoRA that was last used with it
            else:
                idle += [
                    (adapter.used, sha, base)
                    for sha, adapter in base.adapters.items()
                    if base is not keep or sha not in needed
                ]
        _, sha, oldest = min(idle, key=lambda each: each[:2])
        if sha:
            self.drop_adapter(oldest, sha)
        else:
            self.drop(oldest)

    def drop(self, base: ResidentBase) -> None:
        """Forget a base; ``free_memory`` then gives its memory back."""
        self._bases.pop(base.key, None)
        self._placed.pop(base.key, None)
        base.pipeline = None
        base.adapters.clear()
        base.scheduler = base.preview = base.proof = None
        base.encodings.clear()
        base.samples = {}

    def drop_adapter(self, base: ResidentBase, sha256: str) -> Adapter:
        """Take one LoRA out of a base."""
        adapter = base.adapters.pop(sha256)
        remove(base.pipeline, adapter.name)
        base.touch()
        return adapter

    def release(self, session: str) -> int:
        """End a session's leases; LoRAs that only it used are removed. Returns how many."""
        removed = 0
        for base in self._bases.values():
            for sha256, adapter in list(base.adapters.items()):
                if session in adapter.sessions:
                    adapter.sessions.discard(session)
                    if not adapter.sessions:
                        self.drop_adapter(base, sha256)
                        removed += 1
        if removed:
            give_back(self.device)
        return removed


def _key(identity: BaseIdentity, dtype: str, offload: Offload) -> BaseKey:
    return (identity.sha256, dtype, offload, identity.architecture, identity.pipeline)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
