"""The engine: one device, one thread that touches it, one run at a time."""

from __future__ import annotations

import importlib
import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.engine.hardware import automatic_budget, is_surely_cpu, main_memory
from studio.engine.job import EitherEvent, EngineEvent, Job, Publish
from studio.errors import EngineError, OutOfMemory
from studio.resolve.memory import MemoryRules
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.engine.base.manager import Memory, PipelineManager
    from studio.engine.run.clip_scores import ClipModel

Result = TypeVar("Result")
_END = object()


class Engine:
    """Executes plans to the letter. Construction is cheap; torch comes with the first use.

    All work on the device happens in one thread of the engine's own, which is the lock of
    the device: runs wait for one another, and nothing else touches the pipelines.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-device")
        self._manager: PipelineManager | None = None
        self._clip: tuple[Path, ClipModel] | None = None
        self._choosing = threading.Lock()
        self._runs: set[EitherEvent] = set()
        self._closed = False
        self._last: Future[None] | None = None

    def generate(self, job: Job, cancel: threading.Event) -> Generator[EngineEvent, None, None]:
        """Run the plan, one ``Generated`` per picture; events come while it works.

        Closing the iterator cancels the run and waits for the step in progress.

        Raises:
            RunCancelled: ``cancel`` was set; the pipeline is clean.
            StudioError: the run broke, or the engine is closed; else it stays usable.
        """
        if self._closed:
            raise EngineError("The engine is closed.", "Start the studio again.")
        events: queue.SimpleQueue[EngineEvent | object] = queue.SimpleQueue()
        left = EitherEvent(cancel)
        self._runs.add(left)
        future = self._thread.submit(self._run_to_end, job, left, events)
        finished = False
        try:
            while (event := events.get()) is not _END:
                yield event  # type: ignore[misc]  # all but _END are EngineEvents
            finished = True
        finally:
            if not finished:
                left.set()
                future.exception()
            self._runs.discard(left)
        future.result()

    def release(self, session: str) -> None:
        """Free the LoRAs that only ``session`` used, after the run in progress; no waiting."""
        if not self._closed:
            self._thread.submit(self._release, session)

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
            kind, bfloat16 = "cpu", True
        else:
            from studio.engine.device import computes_bfloat16, total_memory

            manager = self._managed()
            kind, memory = manager.device.type, total_memory(manager.device)
            budget, bfloat16 = manager.budget, computes_bfloat16(manager.device)
        return MemoryRules(
            kind,
            memory,
            budget,
            offload=settings.offload,
            vae_tiling=settings.vae_tiling,
            vae_slicing=settings.vae_slicing,
            dtype=settings.dtype,
            bfloat16=bfloat16,
        )

    def memory(self) -> Memory:
        """What is resident now, in bytes; waits for the run in progress."""
        return self._call(lambda: self._managed().memory())

    def clip_model(self, folder: Path) -> ClipModel:
        """The CLIP model in ``folder``, loaded on first use and kept; waits for the run in
        progress.

        Raises:
            WeightsError: the folder holds no whole CLIP model.
        """
        return self._call(lambda: self._loaded_clip(folder))

    def _loaded_clip(self, folder: Path) -> ClipModel:
        from studio.engine.run.clip_scores import ClipModel

        if self._clip is None or self._clip[0] != folder:
            self._clip = (folder, ClipModel(folder))
        return self._clip[1]

    def warm_up(self) -> None:
        """Import what the first run needs; blocks for some seconds."""
        self._call(_import_everything)

    def close(self, patience: float | None = None) -> bool:
        """Cancel every run, take no more, and wait until the one in progress has stopped.

        Args:
            patience: seconds to wait at most; None waits for as long as it takes.

        Returns:
            whether it has stopped.
        """
        for left in tuple(self._runs):
            left.set()
        if self._last is None:
            self._closed = True
            # Waiting runs are not dropped but end at once, cancelled, so that no reader hangs.
            self._last = self._thread.submit(lambda: None)
            self._thread.shutdown(wait=False)
        stopped = bool(wait((self._last,), patience).done)
        if stopped:
            self._thread.shutdown(wait=True)
        return stopped

    def _call(self, work: Callable[[], Result]) -> Result:
        future: Future[Result] = self._thread.submit(work)
        return future.result()

    def _managed(self) -> PipelineManager:
        from studio.engine.base.manager import PipelineManager
        from studio.engine.device import budget_or_automatic, choose_device

        with self._choosing:
            if self._manager is None:
                device = choose_device(self._settings.device)
                budget = budget_or_automatic(self._settings.memory_budget, device)
                self._manager = PipelineManager(device, budget)
            return self._manager

    def _release(self, session: str) -> None:
        if self._manager is not None:
            self._manager.release(session)

    def _run_to_end(
        self, job: Job, cancel: EitherEvent, events: queue.SimpleQueue[EngineEvent | object]
    ) -> None:
        try:
            self._run(job, cancel, events.put)
        finally:
            events.put(_END)

    def _run(self, job: Job, cancel: EitherEvent, publish: Publish) -> None:
        _import_everything()
        from studio.engine.device import free_memory
        from studio.engine.run.run import run_job

        manager = self._managed()
        try:
            run_job(manager, job, cancel, publish)
        except OutOfMemory:
            free_memory(manager.device)
            raise


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
