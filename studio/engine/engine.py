"""The engine: one device, one run at a time."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.plan import RunPlan, WorkerClass
from studio.engine.hardware import automatic_budget, is_surely_cpu
from studio.engine.job import LocalJob, Publish
from studio.errors import OutOfMemory
from studio.machine import main_memory
from studio.resolve import BaseInPlace
from studio.resolve.memory import MemoryRules
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.engine.base.manager import Memory, PipelineManager
    from studio.engine.run.clip_scores import ClipModel


class Engine:
    """Executes plans to the letter. Construction is cheap; torch comes with the first use.

    Whatever touches the pipelines (``run``, ``release``, ``memory``, ``resident``) is called by
    one thread at a time; ``memory_rules`` and ``describe_device`` only look at the device, at any
    time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._manager: PipelineManager | None = None
        self._clip: tuple[Path, ClipModel] | None = None
        self._choosing = threading.Lock()

    def run(self, job: LocalJob, cancel: threading.Event, publish: Publish) -> None:
        """Run the plan; ``publish`` gets what happens while it works, one ``Generated`` per
        picture.

        Raises:
            RunCancelled: ``cancel`` was set; the pipeline is clean.
            Interrupted: another thread ended it; what it was in the midst of is dropped, or
                proven anew before its next use.
            StudioError: the run broke; the engine stays usable.
        """
        _import_everything()
        from studio.engine.device import free_memory
        from studio.engine.run.run import run_job

        manager = self._managed()
        try:
            run_job(manager, job, cancel, publish)
        except OutOfMemory:
            free_memory(manager.device)
            raise

    def place(self, base: BaseInPlace, path: Path, layout: Path | None = None) -> None:
        """Load a base onto the device for good, with nothing measured of it, for forks
        of this process; and import what they need, which no fork should.

        Raises:
            As ``PipelineManager.acquire``.
        """
        _import_everything()
        from studio.engine.base.load import BaseSource

        self._managed().place(BaseSource(base.identity, path, layout), base.dtype)

    def has_placed(self, plan: RunPlan) -> bool:
        """Whether ``place`` was called for the plan's base, in the dtype it is to run in."""
        manager = self._manager
        return manager is not None and manager.is_placed(plan.base, plan.settings.dtype)

    def release(self, session: str) -> None:
        """Free the LoRAs that only ``session`` used."""
        if self._manager is not None:
            self._manager.release(session)

    def describe_device(self) -> str:
        """For example ``CPU, 2 threads``; imports torch on first use.

        Raises:
            DeviceError: the configured device is not there.
        """
        from studio.engine.device import describe

        return describe(self._managed().device)

    def memory_rules(self) -> MemoryRules:
        """What memory there is and what the settings ask of it; may import torch.

        Raises:
            DeviceError: the configured device is not there.
        """
        settings = self._settings
        if is_surely_cpu(settings.device):
            memory = main_memory()
            budget = settings.memory_budget or automatic_budget(memory)
            kind, bfloat16, slow = "cpu", True, False
        else:
            from studio.engine.device import computes_bfloat16, emulates_bfloat16, total_memory

            manager = self._managed()
            kind, memory = manager.device.type, total_memory(manager.device)
            budget, bfloat16 = manager.budget, computes_bfloat16(manager.device)
            slow = emulates_bfloat16(manager.device)
        return MemoryRules(
            kind,
            memory,
            budget,
            offload=settings.offload,
            vae_tiling=settings.vae_tiling,
            vae_slicing=settings.vae_slicing,
            dtype=settings.dtype,
            bfloat16=bfloat16,
            slow_bfloat16=slow,
        )

    def worker_class(self) -> WorkerClass:
        """What this engine has in common with others of the same pixels; imports torch.

        Raises:
            DeviceError: the configured device is not there.
        """
        from studio.engine.device import hardware

        rules, device = self.memory_rules(), self._managed().device
        dtypes = tuple(dtype.value for dtype in rules.dtypes)
        return WorkerClass(device=device.type, hardware=hardware(device), dtypes=dtypes)

    def gpu(self) -> str | None:
        """What tells the GPU from every other; None for another device. Imports torch.

        Raises:
            DeviceError: the configured device is not there.
        """
        from studio.engine.device import gpu_uuid

        return gpu_uuid(self._managed().device)

    def resident(self) -> Mapping[str, frozenset[str]]:
        """SHA-256 of each base in memory → those of the LoRAs in it."""
        return {} if self._manager is None else self._manager.resident()

    def memory(self) -> Memory:
        """What is resident now, in bytes."""
        return self._managed().memory()

    def clip_model(self, folder: Path) -> ClipModel:
        """The CLIP model in ``folder``, loaded on first use and kept.

        Raises:
            WeightsError: the folder holds no whole CLIP model.
        """
        from studio.engine.run.clip_scores import ClipModel

        if self._clip is None or self._clip[0] != folder:
            self._clip = (folder, ClipModel(folder))
        return self._clip[1]

    def warm_up(self) -> None:
        """Import what the first run needs; blocks for some seconds."""
        _import_everything()

    def _managed(self) -> PipelineManager:
        from studio.engine.base.manager import PipelineManager
        from studio.engine.device import budget_or_automatic, choose_device, limit_threads

        if self._manager is not None:
            return self._manager  # in a fork, another thread's lock would stay locked
        with self._choosing:
            if self._manager is None:
                limit_threads()
                device = choose_device(self._settings.device)
                budget = budget_or_automatic(self._settings.memory_budget, device)
                self._manager = PipelineManager(device, budget)
            return self._manager


def _import_everything() -> None:
    from transformers.utils import logging

    # The pipelines' modules import image processors that nothing here uses, and transformers
    # complains of the torchvision it would want for them.
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        for name in ("compel", "diffusers.loaders.lora_pipeline", "studio.engine.run.run"):
            importlib.import_module(name)
    finally:
        logging.set_verbosity(level)
