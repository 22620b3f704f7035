"""One run from its weights to its pictures: locate → engine → events, and a log of it.

The log (``studio.worker``) has one JSON object per stage and line: run id, mode, base, LoRA
slugs, plan fingerprint, stage and seconds. Prompts are not in it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from studio.backends.base import BackendEvent, Weights
from studio.backends.watch import Watch
from studio.contract.events import Cancelled, Failed, Job, Loading
from studio.engine import Engine, EngineEvent, Generated, Interrupted, LocalJob, RunCancelled
from studio.engine.job import Publish
from studio.errors import StudioError, is_failure

logger = logging.getLogger("studio.worker")


def work(
    engine: Engine,
    weights: Weights,
    job: Job,
    cancel: threading.Event,
    publish: Callable[[BackendEvent], None],
) -> None:
    """Find a job's weights and execute it, as ``guard`` does."""

    def execute(tell: Publish) -> None:
        if cancel.is_set():
            raise RunCancelled(job.run_id)
        start = time.perf_counter()
        tell(Loading(job.run_id, "Checking the weights"))
        local = located(job, weights)
        _log(job, "verify", time.perf_counter() - start)
        engine.run(local, cancel, tell)

    guard(job, cancel, publish, execute)


def guard(
    job: Job | LocalJob,
    cancel: threading.Event,
    publish: Callable[[BackendEvent], None],
    execute: Callable[[Publish], None],
) -> None:
    """Let ``execute`` carry out a job, in this thread, and watch over it; every outcome is an
    event and a log line, nothing is raised."""
    start = time.perf_counter()
    watch = Watch(job.run_id, cancel, publish)

    def tell(event: EngineEvent) -> None:
        if isinstance(event, Generated):
            _log_image(job, event)
        watch.heard(event)

    try:
        with watch:
            execute(tell)
    except (RunCancelled, Interrupted):
        watch.leave()
        _log(job, "cancelled", time.perf_counter() - start)
        publish(Cancelled(job.run_id))
    except StudioError as error:
        _log(job, "failed", time.perf_counter() - start, code=error.code, message=str(error))
        publish(Failed(job.run_id, error.code, error.message, error.way_out))
    except BaseException as error:
        if not is_failure(error):
            raise
        # The thread's boundary: whatever one run meets, the runs after it go on. What it was
        # stands in the log with its traceback.
        _log(job, "failed", time.perf_counter() - start, code="unexpected", message=repr(error))
        logger.exception("Run %s met an unexpected error.", job.run_id)
        text = f"Unexpected error during the run: {type(error).__name__}: {error}"
        publish(Failed(job.run_id, "unexpected", text, "Report it with the log of this run."))
    else:
        _log(job, "done", time.perf_counter() - start)


def located(job: Job, weights: Weights) -> LocalJob:
    """The job with the places of its weights on this machine; plain data, as the job is.

    Raises:
        As ``Weights``.
    """
    plan = job.plan
    base = weights.base(plan.base)
    return LocalJob(
        run_id=job.run_id,
        session=job.session,
        plan=plan,
        base_path=base.path,
        base_stamps=dict(base.stamps),
        lora_paths={use.slug: weights.lora(use) for use in plan.loras},
        reference_paths={each.sha256: weights.reference(each) for each in plan.references},
        layout=base.layout,
        previews=job.previews,
        only=job.only,
    )


def _log_image(job: Job | LocalJob, made: Generated) -> None:
    timings = made.receipt.timings
    if made.index == (job.only or 0):
        _log(job, "load", timings.load)
        _log(job, "loras", timings.loras)
        _log(job, "encode", timings.encode)
    _log(job, "denoise", timings.denoise, image=made.index)
    _log(job, "decode", timings.decode, image=made.index)


def _log(job: Job | LocalJob, stage: str, seconds: float, **more: Any) -> None:
    plan = job.plan
    line = {
        "run_id": job.run_id,
        "mode": plan.mode.value,
        "base": plan.base.slug,
        "loras": [use.slug for use in plan.loras],
        "fingerprint": plan.fingerprint,
        "stage": stage,
        "seconds": round(seconds, 4),
        **more,
    }
    logger.info(json.dumps(line, ensure_ascii=False))
