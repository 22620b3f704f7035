"""SDXL and its finetunes: two CLIP text encoders side by side, one pooled, one UNet.

Both encoders give the layer that clip skip names, as it is (without the final layer norm);
SDXL was trained with 2, the layer before the last. The pooled embedding always comes from
the second encoder's last layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from studio.architecture import traits_of
from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded
from studio.engine.families.stable_diffusion import (
    ENCODERS,
    GuidedUnet,
    clip_skip,
    is_guided,
    probe_side,
)
from studio.engine.lora.probe import TIMESTEP, fixed_noise
from studio.engine.text.clip import ClipEncoder, TextRead, probe_both

if TYPE_CHECKING:
    from PIL.Image import Image

TRAINED_CLIP_SKIP = 2


class StableDiffusionXL(GuidedUnet):
    """``StableDiffusionXLPipeline``: guidance is CFG, off at 1.0 and below (Turbo runs so)."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        unet = pipeline.unet
        read = probe_both(pipeline)
        hidden = torch.cat([each.hidden_states[-TRAINED_CLIP_SKIP] for each in read], dim=-1)
        pooled = read[1].text_embeds
        side = probe_side(unet)
        latents = fixed_noise((1, unet.config.in_channels, side, side), unet)
        pixels = side * pipeline.vae_scale_factor
        times = torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]])
        conditions = {"text_embeds": pooled, "time_ids": times.to(latents)}
        output = unet(
            latents,
            TIMESTEP,
            encoder_hidden_states=hidden.to(latents),
            added_cond_kwargs=conditions,
        ).sample
        # The last layers too, though SDXL does not read the first encoder's: LoRAs change it.
        return *(each.last_hidden_state for each in read), hidden, pooled, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """As ``StableDiffusionXLPipeline.encode_prompt``, with clip skip on both sides.

        An empty negative prompt is none: what the base then takes, zeros or the embedding
        of nothing, is its own ``force_zeros_for_empty_prompt``.
        """
        del references
        skip = clip_skip(plan)
        encoders = traits_of(plan.base.architecture).text_encoders
        readers = [ClipEncoder.of(pipeline, traits, skip, normalised=False) for traits in encoders]
        negative = plan.prompt.negative_text
        guided = is_guided(pipeline.unet, plan.settings.guidance_scale.value)
        zeros = guided and not negative and pipeline.config.force_zeros_for_empty_prompt
        texts = (plan.prompt.text, negative if guided and not zeros else None)
        reads = ENCODERS[plan.prompt_encoder](readers, texts)
        receipts = tuple(receipt for read in reads for receipt in read.receipts)
        return Encoded(_arguments(reads, zeros), skip, receipts)

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        vae = pipeline.vae
        with _upcast(vae):
            latents = vae.encode(pixels.to(device_of(vae), vae.dtype)).latent_dist.mean
        return _normalised(vae.config, latents)


@contextmanager
def _upcast(vae: Any) -> Iterator[None]:
    """SDXL's VAE overflows in float16: as in the pipeline, float32 meanwhile, where it must."""
    if vae.dtype != torch.float16 or not vae.config.force_upcast:
        yield
        return
    # Not diffusers' ``to``, which warns of what it does not do here.
    nn.Module.to(vae, torch.float32)
    try:
        yield
    finally:
        nn.Module.to(vae, torch.float16)


def _arguments(reads: Sequence[TextRead], zeros: bool) -> dict[str, torch.Tensor | None]:
    prompt = torch.cat([read.prompt for read in reads], dim=-1)
    pooled = reads[-1].pooled
    assert pooled is not None  # the second encoder has a projection
    negatives = [read.negative for read in reads if read.negative is not None]
    negative = torch.cat(negatives, dim=-1) if negatives else None
    return {
        "prompt_embeds": prompt,
        "pooled_prompt_embeds": pooled,
        "negative_prompt_embeds": torch.zeros_like(prompt) if zeros else negative,
        "negative_pooled_prompt_embeds": (
            torch.zeros_like(pooled) if zeros else reads[-1].negative_pooled
        ),
    }


def _normalised(config: Any, latents: torch.Tensor) -> torch.Tensor:
    """The inverse of the pipeline's own step before it decodes."""
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        scaled: torch.Tensor = latents * config.scaling_factor
        return scaled
    means, deviations = (torch.tensor(v).view(1, -1, 1, 1).to(latents) for v in (mean, std))
    normal: torch.Tensor = (latents - means) * config.scaling_factor / deviations
    return normal
