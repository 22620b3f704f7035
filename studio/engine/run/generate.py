"""One picture in named steps: schedule, denoise, decode, read back, compare with the plan."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from studio.architecture import guides
from studio.contract.audit import discrepancies
from studio.contract.events import Progress
from studio.contract.plan import RunPlan
from studio.contract.receipt import ImageReceipt, Receipt, Timings
from studio.engine.base.library_logs import listen
from studio.engine.base.offload import placed
from studio.engine.base.resident import ResidentBase
from studio.engine.device import hardware, named_errors
from studio.engine.families import Encoded
from studio.engine.job import Generated, LocalJob, Publish, RunCancelled
from studio.engine.lora.receipts import receipts, switched_sha256
from studio.engine.lora.schedule import Schedule, step_of
from studio.engine.lora.switch import LoraSet
from studio.engine.run.decode import heading, is_tiling, kept_dtype, preview_png
from studio.engine.run.numbers import demand_finite, recorded_noise
from studio.engine.run.steps import Steps, build_scheduler
from studio.errors import ContractBroken, PictureWithheld
from studio.imaging.png import pixels_sha256
from studio.imaging.references import reference_sha256

PREVIEWS = 6
"""Previews per picture, spread over its steps."""

_DENOISE_WAY_OUT = "Lower the guidance scale or the LoRAs' strengths, or use another dtype."
_DECODE_WAY_OUT = "Use another dtype for the base, or fetch the base again."


@dataclass(slots=True)
class Run:
    """What all pictures of a run share.

    Attributes:
        references: the reference images, in the plan's order.
        given: the arguments of the pipeline's last call.
        seconds: of the stages before the first picture: load, loras, encode.
        heard: what the libraries said so far.
    """

    job: LocalJob
    base: ResidentBase
    loras: LoraSet
    encoded: Encoded
    references: tuple[Image, ...]
    cancel: threading.Event
    publish: Publish
    seconds: dict[str, float]
    heard: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)


def generate_image(run: Run, index: int) -> Generated:
    """Make picture ``index`` (0-based) and its receipt.

    Raises:
        RunCancelled: within one step of the request; the pipeline is clean.
        ContractBroken: what happened is not what was planned; the picture is not given out.
        NotFinite: the latents or the decoded picture are no numbers.
        OutOfMemory, DeviceError, PictureWithheld.
    """
    plan = run.job.plan
    started, start = now(), time.perf_counter()
    steps = Steps()
    # On the CPU, so that the noise is the same whatever the device.
    generator = torch.Generator("cpu").manual_seed(plan.seed + index)
    with (
        named_errors(run.base.device, "the picture"),
        kept_dtype(run.base),
        recorded_noise(run.base.pipeline) as noise,
        listen(run.base.places, python_warnings=False) as heard,
    ):
        run.base.pipeline.scheduler = build_scheduler(
            plan.settings.scheduler.value, run.base.scheduler
        )
        schedule = Schedule(run.base, run.loras, plan.step_ranges)
        image = _denoise(run, index, generator, steps, schedule)
    timings = _timings(run, start, steps.ended, time.perf_counter())
    about = describe_image(image, index, generator.initial_seed(), noise.sha256(), steps.sha256())
    receipt = receipt_of(run, started, steps, timings, about, heard, schedule)
    demand_plan(plan, receipt)
    return Generated(run.job.run_id, index, plan.count, image, receipt)


def demand_plan(plan: RunPlan, receipt: Receipt) -> None:
    wrong = discrepancies(plan, receipt)
    if wrong:
        raise ContractBroken(
            f"What happened is not what was planned. {' '.join(wrong)}",
            "The picture is not kept; report it with the plan's fingerprint.",
        )


def receipt_of(
    run: Run,
    started: str,
    steps: Steps,
    timings: Timings,
    image: ImageReceipt,
    heard: list[str],
    schedule: Schedule,
) -> Receipt:
    """What the pipeline itself says now, after the denoising."""
    pipeline = run.base.pipeline
    return Receipt(
        run_id=run.job.run_id,
        started_at=started,
        finished_at=now(),
        device=str(run.base.device),
        dtype=str(getattr(pipeline, run.base.denoiser).dtype).removeprefix("torch."),
        base_sha256=run.base.key[0],
        scheduler=type(pipeline.scheduler).__name__,
        steps=steps.run_through(pipeline.scheduler),
        guidance_scale=run.base.family.guidance_used(pipeline, run.job.plan, steps.passes),
        true_cfg_scale=_true_cfg_used(run, steps.passes),
        clip_skip=run.encoded.clip_skip,
        max_sequence_length=run.encoded.max_sequence_length,
        loras=receipts(run.base, run.loras, schedule.held),
        references=tuple(reference_sha256(image) for image in run.references),
        offload=None if run.job.plan.placement is None else placed(pipeline),
        vae_tiling=is_tiling(pipeline),
        eta=_eta_used(run.job.plan, steps),
        embeddings_sha256=run.encoded.sha256,
        switched_sha256=switched_sha256(run.base, run.loras, schedule.held),
        hardware=hardware(run.base.device),
        effect=run.loras.effect.whole,
        layer_effect=run.loras.effect.layers,
        base_proof=run.loras.proof,
        encoding=run.encoded.receipts,
        warnings=(*run.heard, *heard),
        timings=timings,
        image=image,
    )


def _true_cfg_used(run: Run, passes: int) -> float | None:
    """What the call was given as true CFG beside its guidance, and the denoiser bears out.

    No pipeline keeps it as a number; above 1 it calls its denoiser twice a step.
    """
    if run.job.plan.settings.true_cfg_scale is None:
        return None
    given = float(run.given["true_cfg_scale"])
    if passes != (2 if guides(given) else 1):
        raise ContractBroken(
            f"With a true CFG scale of {given:g} the denoiser was called {passes} times a step.",
            "The picture is not kept; report it with the plan's fingerprint.",
        )
    return given


def _eta_used(plan: RunPlan, steps: Steps) -> float | None:
    """What the scheduler's every step was given as ``eta``, where the plan has one."""
    if plan.settings.eta is None:
        return None
    if len(steps.etas) != 1:
        raise ContractBroken(
            f"As eta, the scheduler's steps were given {sorted(steps.etas) or 'nothing'}.",
            "The picture is not kept; report it with the plan's fingerprint.",
        )
    return next(iter(steps.etas))


def _denoise(
    run: Run, index: int, generator: torch.Generator, steps: Steps, schedule: Schedule
) -> Image:
    plan, pipeline = run.job.plan, run.base.pipeline
    run.given = run.base.family.arguments(plan, run.references)
    eta = plan.settings.eta
    if eta is not None:
        run.given["eta"] = eta.value
    listening = nullcontext() if eta is None else steps.listening_for_eta(pipeline.scheduler)
    try:
        schedule.enter(1)
        with steps.counting(getattr(pipeline, run.base.denoiser)), listening:
            output = pipeline(
                **run.encoded.arguments,
                **run.given,
                width=plan.settings.width.value,
                height=plan.settings.height.value,
                num_inference_steps=plan.settings.steps.value,
                generator=generator,
                callback_on_step_end=callback_for(run, index, steps, schedule),
                output_type="np",
            )
    finally:
        # What the pipeline itself does at the end; a cancel or an error would skip it.
        pipeline.maybe_free_model_hooks()
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise PictureWithheld(
            "The base's safety checker withheld the picture.", "Change the prompt or the seed."
        )
    return picture_of(pipeline, output.images)


def picture_of(pipeline: Any, pixels: NDArray[np.float32]) -> Image:
    """The first of ``pixels`` (batch, height, width, RGB; 0 to 1), as diffusers makes it."""
    demand_finite(torch.from_numpy(pixels), "The decoded pixels", _DECODE_WAY_OUT)
    image: Image = pipeline.image_processor.numpy_to_pil(pixels)[0]
    return image.convert("RGB")


def callback_for(
    run: Run, index: int, steps: Steps, schedule: Schedule
) -> Callable[[Any, int, Any, dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """Counts, reports, checks, switches LoRAs that come or go, and cancels.

    ``interrupt`` is not used: it would decode half a picture.
    """
    plan = run.job.plan
    planned = plan.settings.steps.value

    def on_step_end(
        pipeline: Any, step: int, timestep: Any, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        steps.calls += 1
        steps.ended = time.perf_counter()
        if run.cancel.is_set():
            raise RunCancelled(run.job.run_id)
        # Some schedulers call the denoiser more often than once a step; people count steps.
        total = pipeline.num_timesteps
        if step + 1 == total:  # what is not finite stays so; asking each step would slow it
            demand_finite(tensors["latents"], "The latents", _DENOISE_WAY_OUT)
        done = -(-(step + 1) * planned // total)
        every = max(1, total // PREVIEWS)
        shows = run.job.previews and (step + 1) % every == 0 and step + 1 < total
        preview, latents = None, tensors["latents"]
        if shows:
            clean = heading(pipeline.scheduler, timestep, steps.latents, latents)
            preview = preview_png(run.base, clean, plan.settings)
        steps.latents = latents
        if step + 1 < total:
            schedule.enter(step_of(step + 1, planned, pipeline.scheduler))
        else:
            schedule.leave()
        run.publish(Progress(run.job.run_id, index, plan.count, done, planned, preview))
        return {}

    return on_step_end


def _timings(run: Run, start: float, denoised: float, end: float) -> Timings:
    before = sum(run.seconds.values())
    return Timings(
        **run.seconds,
        denoise=denoised - start,
        decode=end - denoised,
        total=before + end - start,
    )


def describe_image(image: Image, index: int, seed: int, noise: str, latents: str) -> ImageReceipt:
    return ImageReceipt(
        index=index,
        seed=seed,
        width=image.width,
        height=image.height,
        noise_sha256=noise,
        latents_sha256=latents,
        pixels_sha256=pixels_sha256(image),
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
