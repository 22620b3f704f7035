"""A backend that makes every picture of a plan at once, without torch: for long trials."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from studio.backends import BackendEvent, ClipReader, Generated, WorkerStatus
from studio.backends.libraries import installed_libraries
from studio.contract.events import Cancelled, Job
from studio.contract.plan import Library, RunPlan
from studio.errors import WeightsError
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from tests.support.records import run_receipt


def simulated_picture(plan: RunPlan, effects: Mapping[str, float]) -> Image.Image:
    """A ramp that its seed shifts, brighter by what its LoRAs do.

    Args:
        effects: SHA-256 of a LoRA's file → levels of 255 that it adds at strength 1; where
            nothing is said of it, some that follow from its hash.
    """
    added = sum(
        use.strength.value * effects.get(use.sha256, 8.0 + int(use.sha256[2:4], 16) % 64)
        for use in plan.loras
    )
    words = len(plan.prompt.text) if any(use.strength.value for use in plan.loras) else 0
    first = 40 + plan.seed % 7 + round(added) + words % 5
    width, height = plan.settings.width.value, plan.settings.height.value
    row = bytes(min(first + column // 2, 255) for column in range(width) for _ in range(3))
    return Image.frombytes("RGB", (width, height), row * height)


class SimulatedBackend:
    """A ``Backend`` whose receipts say that everything went as planned."""

    def __init__(self, effects: Mapping[str, float] | None = None) -> None:
        self.effects = effects or {}
        self.made = 0
        self._libraries = installed_libraries()

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        if cancel.is_set():
            yield Cancelled(job.run_id)
            return
        plan = job.plan
        image = simulated_picture(plan, self.effects)
        self.made += 1
        receipt = run_receipt(plan, image, run_id=job.run_id, **_as_planned(plan))
        yield Generated(job.run_id, 0, 1, image, receipt)

    def release(self, session: str) -> None: ...

    def queue_length(self) -> int:
        return 0

    def place(self, base: BaseInPlace) -> None: ...

    def libraries(self) -> tuple[Library, ...]:
        return self._libraries

    def worker_class(self) -> None: ...

    def workers(self) -> tuple[WorkerStatus, ...]:
        return ()

    def gpu_time(self, plan: RunPlan) -> GpuTime | None: ...

    def memory_rules(self, base: str | None = None) -> MemoryRules:
        return MemoryRules(device="cpu", memory=2**34, budget=2**33)

    def describe_device(self) -> str:
        return "simulated"

    def clip_model(self, folder: Path) -> ClipReader:
        raise WeightsError("There is no CLIP model here.", "Set none.", folder)

    def warm_up(self) -> None: ...

    def close(self, patience: float | None = None) -> bool:
        return True


def _as_planned(plan: RunPlan) -> dict[str, Any]:
    offload = None if plan.placement is None else plan.placement.offload
    return {"offload": offload, "vae_tiling": plan.settings.vae_tiling}
