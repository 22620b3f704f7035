"""Stable Diffusion 1.x (and the embedded mini model): one CLIP text encoder, one UNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import traits_of
from studio.engine.clip import SkippingEncoder, encode_compel, encode_native, probe_ids
from studio.engine.families.family import Encoded
from studio.engine.folder import Pipeline
from studio.engine.probing import TIMESTEP, fixed_noise
from studio.plan import RunPlan
from studio.request import PromptEncoder

if TYPE_CHECKING:
    from PIL.Image import Image

_SMALLEST_SIDE = 8


class StableDiffusion:
    """``StableDiffusionPipeline``: guidance is CFG, off at 1.0 and below."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        unet = pipeline.unet
        ids = probe_ids(pipeline.tokenizer, pipeline.text_encoder.config.vocab_size)
        hidden = pipeline.text_encoder(ids.to(unet.device))[0]
        side = max(_SMALLEST_SIDE, 2 ** (len(unet.config.block_out_channels) - 1))
        latents = fixed_noise((1, unet.config.in_channels, side, side), unet)
        output = unet(latents, TIMESTEP, encoder_hidden_states=hidden).sample
        return hidden, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        del references
        (traits,) = traits_of(plan.base.architecture).text_encoders
        skip = plan.settings.clip_skip.value if plan.settings.clip_skip else 1
        encoder = SkippingEncoder(getattr(pipeline, traits.component), skip)
        tokenizer = getattr(pipeline, traits.tokenizer)
        # Stable Diffusion reads the negative prompt where guidance is above 1, and only there.
        guided = plan.settings.guidance_scale.value > 1
        texts = (plan.prompt.text, plan.prompt.negative_text if guided else None)
        ways = {PromptEncoder.NATIVE: encode_native, PromptEncoder.COMPEL: encode_compel}
        read = ways[plan.prompt_encoder](encoder, tokenizer, traits, texts)
        arguments = {"prompt_embeds": read.prompt, "negative_prompt_embeds": read.negative}
        return Encoded(arguments, encoder.clip_skip, read.receipts)

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        del references
        return {"guidance_scale": plan.settings.guidance_scale.value}

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan) -> float:
        del plan
        return float(pipeline.guidance_scale)

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        del pipeline, width, height
        return latents[0]

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        vae = pipeline.vae
        latents = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mean
        scaled: torch.Tensor = latents * vae.config.scaling_factor
        return scaled
