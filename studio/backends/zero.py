"""Runs on a Hugging Face ZeroGPU Space: a GPU is lent to a visitor for the seconds of a run.

The ``spaces`` package forks this process, where the named bases lie loaded, and lends the fork a
GPU. No thread of the parent is in it, so the run gets a thread of its own there; what the fork has
loaded besides lives as long as it does. Everything that needs no GPU is done in the parent, where
it costs nothing; whatever is not named runs there too, on the CPU.

The visitor is known to the service by the request that the calling context holds: a run is
carried out in the context of whoever asked for it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Self

import gradio

from studio.backends.base import BackendEvent, ClipReader, Weights, WorkerStatus
from studio.backends.fork import Fork, ForkReady, FromFork
from studio.backends.lent_time import PastRuns, told
from studio.backends.local import LocalBackend
from studio.backends.watch import heard
from studio.backends.worker import located
from studio.contract.events import Cancelled, Failed, Job, Loading
from studio.contract.placement import Dtype, Offload
from studio.contract.plan import Library, RunPlan
from studio.contract.receipt import Receipt, RunRecord
from studio.engine import Engine, Generated, LocalJob
from studio.errors import ContractBroken, EngineError, StudioError
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from studio.settings import Settings

_REFUSALS = {
    "ZeroGPU quota exceeded": ("gpu_quota", "Wait, sign in, or ask for less; Mini needs no GPU."),
    "ZeroGPU pending credits exceeded": ("gpu_quota", "Wait until your other runs are over."),
    "ZeroGPU illegal duration": (
        "gpu_time",
        "Choose fewer steps, pictures or pixels, or sign in.",
    ),
    "ZeroGPU queue timeout": ("gpu_busy", "Try again in a while; Mini needs no GPU."),
    "ZeroGPU worker error": ("gpu_aborted", "Try again; if it was too slow, ask for fewer steps."),
}
"""What ``spaces`` calls its errors, our codes, and the ways out."""
_OTHERWISE = ("gpu_service", "Try again in a while; Mini needs no GPU.")

logger = logging.getLogger("studio.backends.zero")


class ZeroBackend:
    """A ``Backend``: the bases of GPU_BASES in forks that have a GPU, all others on the CPU here.

    To be made before the page is launched, on the main thread, after ``spaces`` was imported.

    Args:
        gpu: holds the bases; its runs are in forks alone.
        local: for everything else.
    """

    def __init__(
        self, settings: Settings, weights: Weights, gpu: Engine, local: LocalBackend
    ) -> None:
        import spaces

        self._settings = settings
        self._weights = weights
        self._gpu = gpu
        self._local = local
        self._dtypes: dict[str, Dtype] = {}
        self._past = PastRuns()
        self._proofs: dict[tuple[str, str, str], str] = {}
        self._running: dict[str, tuple[threading.Thread, threading.Event]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._task: Callable[[LocalJob, int], Generator[FromFork, None, None]] = spaces.GPU(
            Fork(gpu).run, duration=lambda _, seconds: seconds
        )

    @classmethod
    def open(cls, settings: Settings, weights: Weights) -> Self:
        """One with engines of its own; their torch comes with ``spaces``."""
        on_gpu = "cuda" if settings.device == "auto" else settings.device
        gpu = Engine(replace(settings, device=on_gpu, offload=Offload.NONE))
        local = LocalBackend.open(replace(settings, device="cpu"), weights)
        return cls(settings, weights, gpu, local)

    def libraries(self) -> tuple[Library, ...]:
        return self._local.libraries()

    def worker_class(self) -> None:
        return None

    def workers(self) -> tuple[WorkerStatus, ...]:
        return ()

    def place(self, base: BaseInPlace) -> None:
        """Load a base for the forks; on the main thread, before the page is launched.

        Raises:
            StudioError: it cannot be found or loaded.
        """
        found = self._weights.base(base.identity)
        self._gpu.place(base, found.path, found.layout)
        self._dtypes[base.identity.slug] = base.dtype

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        """As ``Backend.run``; several at once, as many as the service lends GPUs for."""
        if not self._is_named(job.plan.base.slug):
            yield from self._local.run(job, cancel)
            return
        events: queue.SimpleQueue[BackendEvent | None] = queue.SimpleQueue()
        context = copy_context()
        thread = threading.Thread(
            target=context.run,
            args=(self._carry_out, job, cancel, events.put),
            name=f"studio-zero-{job.run_id}",
            daemon=True,
        )
        with self._lock:
            if self._closed:
                raise EngineError("The studio is closing.", "Start it again.")
            self._running[job.run_id] = (thread, cancel)
        thread.start()
        try:
            yield from heard(events, job.run_id, cancel, lambda: False)
        finally:
            cancel.set()

    def gpu_time(self, plan: RunPlan) -> GpuTime | None:
        """What a run of the plan asks for; None where it runs on the CPU."""
        if not self._is_named(plan.base.slug):
            return None
        return self._past.asks_for(plan)

    def memory_rules(self, base: str | None = None) -> MemoryRules:
        if base is None or not self._is_named(base):
            return self._local.memory_rules()
        return replace(self._gpu.memory_rules(), placed=self._dtypes.get(base))

    def describe_device(self) -> str:
        here = self._local.describe_device()
        if not self._settings.gpu_bases:
            return here
        return f"ZeroGPU ({self._gpu.describe_device()}); {here}"

    def release(self, session: str) -> None:
        """What a fork holds goes with it."""
        self._local.release(session)

    def queue_length(self) -> int:
        with self._lock:
            return len(self._running) + self._local.queue_length()

    def clip_model(self, folder: Path) -> ClipReader:
        return self._local.clip_model(folder)

    def warm_up(self) -> None:
        self._local.warm_up()

    def close(self, patience: float | None = None) -> bool:
        deadline = None if patience is None else time.monotonic() + patience
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for _, cancel in running:
            cancel.set()
        for thread, _ in running:
            thread.join(_left(deadline))
        stopped = not any(thread.is_alive() for thread, _ in running)
        return self._local.close(_left(deadline)) and stopped

    def _is_named(self, base: str) -> bool:
        return base in self._settings.gpu_bases

    # In the parent

    def _carry_out(
        self, job: Job, cancel: threading.Event, publish: Callable[[BackendEvent | None], None]
    ) -> None:
        """One run in the context of whoever asked; its last word is None."""
        try:
            publish(Loading(job.run_id, "Checking the weights"))
            local = located(job, self._weights)
            if not self._gpu.has_placed(job.plan):
                raise EngineError(
                    f"{job.plan.base.label} is not on this page's GPU as the plan has it.",
                    "Make the plan again.",
                )
            publish(Loading(job.run_id, "Waiting for a GPU"))
            if self._on_gpu(local, cancel, publish):
                publish(Cancelled(job.run_id))
        except StudioError as error:
            publish(Failed(job.run_id, error.code, error.message, error.way_out))
        except gradio.Error as error:
            code, way_out = _REFUSALS.get(error.title, _OTHERWISE)
            logger.warning("run %s: %s: %s", job.run_id, error.title, error.message)
            text = f"The GPU service says: {error.message}"
            publish(Failed(job.run_id, code, text, way_out))
        except Exception as error:
            # The thread's boundary, and that of a library which raises whatever it likes.
            logger.exception("Run %s met an unexpected error.", job.run_id)
            text = f"Unexpected error during the run: {type(error).__name__}: {error}"
            publish(Failed(job.run_id, "unexpected", text, "Report it with the log of this run."))
        finally:
            with self._lock:
                self._running.pop(job.run_id, None)
            publish(None)

    def _on_gpu(
        self,
        job: LocalJob,
        cancel: threading.Event,
        publish: Callable[[BackendEvent], None],
    ) -> bool:
        """Whether it was cancelled before the fork said its last word."""
        seconds = told(self._past.asks_for(job.plan).seconds)
        with closing(self._task(job, seconds)) as said:
            for event in said:
                if cancel.is_set():
                    return True
                if isinstance(event, ForkReady):
                    self._note_ready(job, event)
                elif event is not None:
                    self._note_made(job, event)
                    publish(event)
        return False

    def _note_ready(self, job: LocalJob, ready: ForkReady) -> None:
        state = "fresh" if ready.fresh else "reused"
        logger.info("run %s: fork %s, %s, %.1f s", job.run_id, ready.pid, state, ready.since)
        if ready.fresh:
            self._past.note_start(job.plan.base.slug, ready.since)

    def _note_made(self, job: LocalJob, event: BackendEvent) -> None:
        if isinstance(event, Generated):
            self._demand_same_base(job.plan, event.receipt)
            self._past.note_made(RunRecord.of(job.plan, event.receipt))

    def _demand_same_base(self, plan: RunPlan, receipt: Receipt) -> None:
        """Each fork measures the base for itself, and on one kind of GPU all must find the same.

        Raises:
            ContractBroken: one found another base than the first one did.
        """
        found, on = receipt.base_proof.loaded, receipt.hardware or receipt.device
        with self._lock:
            first = self._proofs.setdefault((receipt.base_sha256, receipt.dtype, on), found)
        if found != first:
            raise ContractBroken(
                f"{plan.base.label} computes {found[:12]}… on this GPU, and {first[:12]}… where "
                f"it was measured first, on {on}; the picture was not kept.",
                "Try again in a while, when another GPU is lent; restart the Space if it stays.",
            )


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)
