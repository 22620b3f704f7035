"""Stable Diffusion 1.x (and the embedded mini model): one CLIP text encoder, one UNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from studio.architecture import traits_of
from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded
from studio.engine.families.unet import ENCODERS, GuidedUnet, clip_skip, is_guided, probe_side
from studio.engine.lora.probe import TIMESTEP, fixed_noise
from studio.engine.text.clip import ClipEncoder, probe_ids

if TYPE_CHECKING:
    from PIL.Image import Image


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
