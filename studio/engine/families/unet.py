"""What Stable Diffusion and SDXL share: CLIP prompts, and classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import guides
from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.engine.base.folder import Pipeline
from studio.engine.text.clip import ClipEncoder, TextRead, Texts, encode_native
from studio.engine.text.compel import encode_compel
from studio.errors import ContractBroken

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_SIDE = 8
"""Latents of the probe's side, where the UNet needs no more to halve it."""

ENCODERS: Mapping[
    PromptEncoder, Callable[[Sequence[ClipEncoder], Texts], tuple[TextRead, ...]]
] = {
    PromptEncoder.NATIVE: encode_native,
    PromptEncoder.COMPEL: encode_compel,
}


def clip_skip(plan: RunPlan) -> int:
    """The plan's.

    Raises:
        ContractBroken: it has none, and these pipelines all have one.
    """
    if plan.settings.clip_skip is None:
        raise ContractBroken("The plan has no clip skip.", "Make the plan again.")
    return plan.settings.clip_skip.value


def is_guided(unet: Any, guidance_scale: float) -> bool:
    """Whether the pipeline reads the negative prompt (its ``do_classifier_free_guidance``).

    Above 1, and only there; a UNet that takes the scale as an input never needs a second pass.
    """
    return guides(guidance_scale) and unet.config.time_cond_proj_dim is None


def probe_side(unet: Any) -> int:
    """Rows and columns of the smallest latents that pass through the UNet."""
    return max(SMALLEST_SIDE, int(2 ** (len(unet.config.block_out_channels) - 1)))


class GuidedUnet:
    """What both families answer alike: guidance is CFG, and latents lie as pictures do."""

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        del references
        return {"guidance_scale": plan.settings.guidance_scale.value}

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        del plan, passes
        return float(pipeline.guidance_scale)

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        del pipeline, width, height
        return latents[0]
