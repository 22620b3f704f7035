"""A picture of unfinished latents: a linear map to RGB, fitted once to the base's own VAE."""

from __future__ import annotations

import io
import itertools

import torch
from PIL import Image

from studio.contract.plan import PlanSettings
from studio.engine.base.resident import ResidentBase

_SIDE = 32
_LONGEST = 128
"""Longest side of a preview, in pixels."""


@torch.no_grad()
def preview_png(base: ResidentBase, latents: torch.Tensor, settings: PlanSettings) -> bytes:
    """A small PNG of the first of ``latents``, as the pipeline's callback hands them over."""
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
