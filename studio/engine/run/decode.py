"""From latents to pixels: how the VAE decodes, and previews, a linear map of unfinished ones."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from PIL import Image

from studio.contract.plan import PlanSettings, RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.resident import ResidentBase
from studio.engine.run.steps import Scheduler
from studio.errors import EngineError


def set_decoding(pipeline: Pipeline, plan: RunPlan) -> None:
    """Set the VAE as the plan says; whatever an earlier run had set is undone.

    Raises:
        EngineError: the plan asks for tiles and this VAE has none.
    """
    vae = pipeline.vae
    tiling = plan.settings.vae_tiling
    slicing = plan.placement is not None and plan.placement.vae_slicing
    if tiling and not hasattr(vae, "enable_tiling"):
        raise EngineError(
            f"{type(vae).__name__} cannot decode in tiles.",
            "Set VAE_TILING=0, or make a smaller picture.",
        )
    if hasattr(vae, "enable_tiling"):
        vae.enable_tiling() if tiling else vae.disable_tiling()
    if hasattr(vae, "enable_slicing"):
        vae.enable_slicing() if slicing else vae.disable_slicing()


def is_tiling(pipeline: Pipeline) -> bool:
    """Whether the VAE is set to decode large pictures in tiles."""
    return bool(getattr(pipeline.vae, "use_tiling", False))


@contextmanager
def kept_dtype(base: ResidentBase) -> Iterator[None]:
    """The VAE has afterwards the dtype it had, however the block ends.

    diffusers decodes SDXL's float16 VAE in float32 and casts it back, but not after an error.
    To float32 and back is the same weight to the bit. ``base.spoiled`` is set if the way back
    fails.
    """
    before = base.pipeline.vae.dtype
    try:
        yield
    finally:
        if base.pipeline.vae.dtype != before:
            spoiled, base.spoiled = base.spoiled, "its VAE was left in another dtype"
            base.pipeline.vae.to(before)
            base.spoiled = spoiled


_SIDE = 32
_LONGEST = 128
"""Longest side of a preview, in pixels."""


def heading(
    scheduler: Scheduler, timestep: Any, before: torch.Tensor | None, after: torch.Tensor
) -> torch.Tensor:
    """The noise-free latents that the step from ``before`` to ``after`` leads to.

    A step of a first-order solver runs along a straight line: both ends are
    ``a * clean + b * noise`` with the same two (Song et al. 2021, equation 12). Of other
    solvers, and of the first step, ``after`` as it is.

    Args:
        timestep: of the step.
    """
    clean = after
    if before is None:
        return clean
    if isinstance(scheduler, DDIMScheduler):
        config = scheduler.config
        ahead = int(timestep) - config.num_train_timesteps // scheduler.num_inference_steps
        alphas = scheduler.alphas_cumprod
        kept, last = alphas[int(timestep)], scheduler.final_alpha_cumprod
        next_kept = alphas[ahead] if ahead >= 0 else last
        a, b = kept**0.5, (1 - kept) ** 0.5
        next_a, next_b = next_kept**0.5, (1 - next_kept) ** 0.5
        clean = (next_b * before - b * after) / (a * next_b - next_a * b)
    elif isinstance(scheduler, EulerDiscreteScheduler | FlowMatchEulerDiscreteScheduler):
        now, then = (
            scheduler.sigmas[scheduler.step_index],
            scheduler.sigmas[scheduler.step_index - 1],
        )
        clean = after - now * (after - before) / (now - then)
    return clean


@torch.no_grad()
def preview_png(base: ResidentBase, latents: torch.Tensor, settings: PlanSettings) -> bytes:
    """A small PNG of the first of ``latents``, in the shape the pipeline's callback has them."""
    if base.preview is None:
        base.preview = _fit(base)
    first = base.family.latents_by_place(
        base.pipeline, latents, settings.width.value, settings.height.value
    )
    flat = first.float().cpu().flatten(1).T
    rgb = torch.cat([flat, torch.ones(len(flat), 1)], dim=1) @ base.preview
    height, width = first.shape[-2:]
    pixels = (rgb.nan_to_num(0).clamp(0, 1) * 255).to(torch.uint8).view(height, width, 3)
    image = Image.frombytes("RGB", (width, height), pixels.numpy().tobytes())
    factor = _LONGEST / max(width, height)
    image = image.resize(
        (max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _fit(base: ResidentBase) -> torch.Tensor:
    """(channels + 1, 3): least squares from the latents of flat colours to the colours.

    The corners and the middle of the RGB cube, as squares of _SIDE pixels, through the VAE.
    """
    levels = [*itertools.product((0.0, 1.0), repeat=3), (0.5, 0.5, 0.5)]
    colours = torch.tensor(levels)
    squares = (colours * 2 - 1)[:, :, None, None].expand(-1, -1, _SIDE, _SIDE)
    means = base.family.latents_of(base.pipeline, squares).float().cpu().mean(dim=(2, 3))
    known = torch.cat([means, torch.ones(len(means), 1)], dim=1)
    inverse: torch.Tensor = torch.linalg.pinv(known)
    return inverse @ colours
