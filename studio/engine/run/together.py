"""Several pictures in one denoiser call: equal in everything but their LoRAs and strengths.

Each is first set up alone, as a run of its own is: its set switched on, the base proven, its
effect measured, its prompt read. Only the denoising and the decoding are shared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from studio.contract.receipt import LoraReceipt, Timings
from studio.engine.base.library_logs import listen
from studio.engine.base.manager import PipelineManager
from studio.engine.base.resident import ResidentBase
from studio.engine.device import named_errors
from studio.engine.job import Generated, Job, Publish
from studio.engine.lora.per_sample import scaled_per_sample
from studio.engine.lora.switch import receipts
from studio.engine.run.generate import (
    Run,
    callback_for,
    demand_plan,
    describe_image,
    now,
    picture_of,
    receipt_of,
)
from studio.engine.run.noise import Noise, recorded_noise
from studio.engine.run.run import prepare, resident_base, stop_if
from studio.engine.run.schedulers import build_scheduler
from studio.engine.run.steps import Steps
from studio.engine.run.vae import kept_dtype, set_decoding
from studio.errors import EngineError, PictureWithheld

_EXACTLY = "Compare exactly: each cell is then a call of its own."


@dataclass(frozen=True, slots=True)
class _Ready:
    """One picture before the shared call: its run, and its LoRAs as the pipeline held them."""

    run: Run
    loras: tuple[LoraReceipt, ...]


def run_together(
    manager: PipelineManager, job: Job, cancel: threading.Event, publish: Publish
) -> None:
    """Execute ``job`` and ``job.together``; one Generated each, under its own run id.

    Raises:
        RunCancelled, StudioError: the pipeline is clean, or it has been dropped.
    """
    seconds: dict[str, float] = {}
    stop_if(cancel, job)
    with resident_base(manager, job, publish, seconds) as (base, heard):
        ready = []
        for each in (job, *job.together):
            own = dict(seconds)
            run = prepare(manager, base, each, (), cancel, publish, own, heard)
            ready.append(_Ready(run, receipts(base, run.loras)))
        _demand_resident(base, ready)
        set_decoding(base.pipeline, job.plan)
        for made in _denoise_together(base, ready):
            publish(made)


def _demand_resident(base: ResidentBase, ready: Sequence[_Ready]) -> None:
    """
    Raises:
        EngineError: the LoRAs are not all in memory.
    """
    wanted = {lora.sha256 for each in ready for lora in each.run.loras.wanted}
    if not wanted <= base.adapters.keys():
        raise EngineError("The LoRAs of these cells do not fit into memory together.", _EXACTLY)


def _denoise_together(base: ResidentBase, ready: Sequence[_Ready]) -> list[Generated]:
    lead = ready[0].run
    plan, pipeline, steps = lead.job.plan, base.pipeline, Steps()
    started, start = now(), time.perf_counter()
    lead.given = base.family.arguments(plan, ())
    generators = [torch.Generator("cpu").manual_seed(each.run.job.plan.seed) for each in ready]
    scales = [each.run.loras.scales for each in ready]
    with (
        named_errors(base.device, "the pictures"),
        kept_dtype(base),
        scaled_per_sample(pipeline, base.denoiser, scales),
        recorded_noise(pipeline) as noise,
        listen(base.places, python_warnings=False) as heard,
    ):
        pipeline.scheduler = build_scheduler(plan.settings.scheduler.value, base.scheduler)
        try:
            with steps.counting(getattr(pipeline, base.denoiser)):
                output = pipeline(
                    **_stacked(ready),
                    **lead.given,
                    width=plan.settings.width.value,
                    height=plan.settings.height.value,
                    num_inference_steps=plan.settings.steps.value,
                    generator=generators,
                    callback_on_step_end=callback_for(lead, 0, steps),
                    output_type="np",
                )
        finally:
            pipeline.maybe_free_model_hooks()
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise PictureWithheld(
            "The base's safety checker withheld a picture.", "Change the prompt or the seed."
        )
    said = (started, heard, [generator.initial_seed() for generator in generators])
    share = (steps.ended - start, time.perf_counter() - steps.ended)
    return [
        _generated(each, len(ready), index, output.images, noise, steps, share, said)
        for index, each in enumerate(ready)
    ]


def _stacked(ready: Sequence[_Ready]) -> dict[str, Any]:
    """The prompts of all pictures as one batch.

    Raises:
        EngineError: they are not tensors of one shape.
    """
    arguments: dict[str, Any] = {}
    for name in ready[0].run.encoded.arguments:
        values = [each.run.encoded.arguments[name] for each in ready]
        if all(value is None for value in values):
            arguments[name] = None
            continue
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        if len(tensors) < len(values) or len({tensor.shape for tensor in tensors}) > 1:
            raise EngineError("The prompts of these cells cannot share a call.", _EXACTLY)
        arguments[name] = torch.cat(tensors)
    return arguments


def _generated(
    ready: _Ready,
    together: int,
    index: int,
    images: NDArray[np.float32],
    noise: Noise,
    steps: Steps,
    share: tuple[float, float],
    said: tuple[str, list[str], list[int]],
) -> Generated:
    run, (started, heard, seeds) = ready.run, said
    run.given = dict(run.given) or run.base.family.arguments(run.job.plan, ())
    image = picture_of(run.base.pipeline, images[index : index + 1])
    denoise, decode = (seconds / together for seconds in share)
    before = sum(run.seconds.values())
    timings = Timings(
        **run.seconds, denoise=denoise, decode=decode, total=before + denoise + decode
    )
    about = describe_image(image, 0, seeds[index], noise.sha256(index))
    receipt = receipt_of(
        run, started, steps, timings, about, heard, loras=ready.loras, together=together
    )
    demand_plan(run.job.plan, receipt)
    return Generated(run.job.run_id, 0, 1, image, receipt)
