"""A picture of unfinished latents: where they are heading, through a linear map to RGB."""

from __future__ import annotations

import io
import itertools
from typing import Any

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from PIL import Image

from studio.contract.plan import PlanSettings
from studio.engine.base.resident import ResidentBase
from studio.engine.run.schedulers import Scheduler

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
