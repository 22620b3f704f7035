"""A whole run on the device's thread: base, LoRAs, prompt, then each picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from studio.contract.events import Loading
from studio.contract.placement import Offload
from studio.contract.plan import RunPlan
from studio.engine.base.manager import PipelineManager
from studio.engine.base.resident import ResidentBase
from studio.engine.device import free_memory
from studio.engine.job import Interrupted, LocalJob, Publish, RunCancelled
from studio.engine.lora.inject import WantedLora
from studio.engine.lora.switch import LoraSet, set_loras
from studio.engine.run.decode import set_decoding
from studio.engine.run.generate import Run, generate_image
from studio.engine.text.encode import encode_once
from studio.errors import ContractBroken
from studio.imaging.references import load

if TYPE_CHECKING:
    from PIL.Image import Image


def run_job(
    manager: PipelineManager, job: LocalJob, cancel: threading.Event, publish: Publish
) -> None:
    """Execute ``job.plan``; publishes Loading, Progress and one Generated per picture.

    Raises:
        RunCancelled, StudioError: the pipeline is clean, or it has been dropped.
    """
    seconds: dict[str, float] = {}
    stop_if(cancel, job)
    references = load_references(job)
    with resident_base(manager, job, publish, seconds) as (base, heard):
        run = prepare(manager, base, job, references, cancel, publish, seconds, heard)
        set_decoding(base.pipeline, job.plan)
        for index in range(job.plan.count) if job.only is None else (job.only,):
            stop_if(cancel, job)
            publish(generate_image(run, index))


@contextmanager
def resident_base(
    manager: PipelineManager, job: LocalJob, publish: Publish, seconds: dict[str, float]
) -> Iterator[tuple[ResidentBase, list[str]]]:
    """The plan's base, placed as the plan says, and what was said if it was loaded for this; it
    is dropped afterwards if it was spoiled meanwhile.

    Raises:
        As ``PipelineManager.acquire``.
    """
    plan = job.plan
    offload = Offload.NONE if plan.placement is None else plan.placement.offload
    known = manager.holds(plan.base, plan.settings.dtype, offload)
    publish(Loading(job.run_id, f"{'Found' if known else 'Loading'} {plan.base.label}"))
    with timed(seconds, "load"):
        base = manager.acquire(
            plan.base,
            job.base_path,
            plan.settings.dtype,
            job.layout,
            offload,
            job.base_stamps,
        )
    try:
        yield base, [] if known else list(base.messages)
    except Interrupted:
        base.touch()  # wherever it was stopped, the next run proves the base before its picture
        raise
    finally:
        if base.spoiled is not None:
            manager.drop(base)
            free_memory(manager.device)


def prepare(
    manager: PipelineManager,
    base: ResidentBase,
    job: LocalJob,
    references: tuple[Image, ...],
    cancel: threading.Event,
    publish: Publish,
    seconds: dict[str, float],
    heard: list[str],
) -> Run:
    """Everything before the denoising: the job's LoRAs switched on and its prompt read.

    Raises:
        RunCancelled, StudioError: as ``set_loras`` and ``encode_once``.
    """
    stop_if(cancel, job)
    if job.plan.loras:
        names = ", ".join(use.label for use in job.plan.loras)
        publish(Loading(job.run_id, f"Setting {names}"))
    with timed(seconds, "loras"):
        loras = set_for(manager, base, job)
    stop_if(cancel, job)
    publish(Loading(job.run_id, "Reading the prompt"))
    with timed(seconds, "encode"):
        encoded = encode_once(base, loras, job.plan, references)
    said = [*heard, *encoded.said]
    return Run(job, base, loras, encoded, references, cancel, publish, seconds, said)


def set_for(manager: PipelineManager, base: ResidentBase, job: LocalJob) -> LoraSet:
    wanted = wanted_loras(job.plan, job)
    try:
        return set_loras(base, wanted, manager.make_room)
    except Interrupted:
        base.spoiled = "its LoRAs were half set"
        raise
    finally:
        for lora in wanted:
            adapter = base.adapters.get(lora.sha256)
            if adapter is not None:
                adapter.sessions.add(job.session)
                adapter.used = manager.tick()


def wanted_loras(plan: RunPlan, job: LocalJob) -> tuple[WantedLora, ...]:
    """The plan's complete set with its files.

    Raises:
        ContractBroken: the job has no file for a LoRA of the plan, or the mode takes none.
    """
    if plan.loras and not plan.mode.applies_loras:
        raise ContractBroken(
            f"The plan lists LoRAs, and its mode {plan.mode} applies none.", "Make the plan again."
        )
    missing = [use.slug for use in plan.loras if use.slug not in job.lora_paths]
    if missing:
        raise ContractBroken(
            f"No file was given for {', '.join(missing)}.", "Fetch it and run the plan again."
        )
    return tuple(
        WantedLora(
            slug=use.slug,
            sha256=use.sha256,
            strength=use.strength.value,
            path=job.lora_paths[use.slug],
            waived=frozenset(use.waived),
            parts={each.part: each.strength.value for each in use.parts},
            steps=use.span(plan.settings.steps.value) if len(plan.step_ranges) > 1 else None,
        )
        for use in plan.loras
    )


def load_references(job: LocalJob) -> tuple[Image, ...]:
    """The plan's reference images (RGB), in its order.

    Raises:
        ContractBroken: the job has no file for one of them.
        UnusableReference: a file is not the picture that the plan names.
    """
    missing = [
        each.sha256 for each in job.plan.references if each.sha256 not in job.reference_paths
    ]
    if missing:
        raise ContractBroken(
            f"No file was given for the reference image {missing[0][:12]}.",
            "Give the reference image again.",
        )
    return tuple(load(job.reference_paths[each.sha256], each) for each in job.plan.references)


def stop_if(cancel: threading.Event, job: LocalJob) -> None:
    if cancel.is_set():
        raise RunCancelled(job.run_id)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - start
