"""Stable Diffusion 1.x (and the embedded mini model): one CLIP text encoder, one UNet.

SDXL shares its prompts and its classifier-free guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import guides, traits_of
from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded
from studio.engine.lora.probe import TIMESTEP, fixed_noise
from studio.engine.text.clip import ClipEncoder, TextRead, Texts, encode_native, probe_ids
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


class StableDiffusion(GuidedUnet):
    """``StableDiffusionPipeline``: guidance is CFG, off at 1.0 and below."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        unet = pipeline.unet
        ids = probe_ids(pipeline.tokenizer, pipeline.text_encoder.config.vocab_size)
        hidden = pipeline.text_encoder(ids.to(device_of(unet)))[0]
        side = probe_side(unet)
        latents = fixed_noise((1, unet.config.in_channels, side, side), unet)
        output = unet(latents, TIMESTEP, encoder_hidden_states=hidden).sample
        return hidden, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        del references
        skip = clip_skip(plan)
        encoders = traits_of(plan.base.architecture).text_encoders
        readers = [ClipEncoder.of(pipeline, traits, skip) for traits in encoders]
        guided = is_guided(pipeline.unet, plan.settings.guidance_scale.value)
        texts = (plan.prompt.text, plan.prompt.negative_text if guided else None)
        (read,) = ENCODERS[plan.prompt_encoder](readers, texts)
        arguments = {"prompt_embeds": read.prompt, "negative_prompt_embeds": read.negative}
        return Encoded(arguments, skip, read.receipts)

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        vae = pipeline.vae
        latents = vae.encode(pixels.to(device_of(vae), vae.dtype)).latent_dist.mean
        scaled: torch.Tensor = latents * vae.config.scaling_factor
        return scaled
