"""FLUX.1, tiny: dev and schnell (without guidance embeddings), and Kontext."""

from __future__ import annotations

from typing import Any

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import clip_encoder, kl_autoencoder, t5_encoder
from studio.engine.tiny.vocabulary import clip_tokenizer, t5_tokenizer

_POOLED, _TEXT = 32, 48
"""Widths of the two text encoders."""
_LATENT_CHANNELS = 4
_PATCH = 4
"""Latents in one token: two by two."""


def flux_dev() -> Pipeline:
    """FLUX.1 [dev]: the guidance scale is an input of the transformer."""
    return FluxPipeline(**_components(guidance=True, dynamic_shift=True))


def flux_schnell() -> Pipeline:
    """FLUX.1 [schnell]: no guidance at all, and an unshifted schedule."""
    return FluxPipeline(**_components(guidance=False, dynamic_shift=False))


def flux_kontext() -> Pipeline:
    """FLUX.1 Kontext [dev]: as dev, and it can read a picture."""
    return FluxKontextPipeline(**_components(guidance=True, dynamic_shift=True))


def _components(guidance: bool, dynamic_shift: bool) -> dict[str, Any]:
    tokenizer, tokenizer_2 = clip_tokenizer(), t5_tokenizer()
    transformer = FluxTransformer2DModel(
        in_channels=_LATENT_CHANNELS * _PATCH,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_TEXT,
        pooled_projection_dim=_POOLED,
        guidance_embeds=guidance,
        axes_dims_rope=(4, 4, 8),
    )
    vae = kl_autoencoder(
        latent_channels=_LATENT_CHANNELS,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=0.3611,
        shift_factor=0.1159,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0 if dynamic_shift else 1.0, use_dynamic_shifting=dynamic_shift
    )
    return {
        "scheduler": scheduler,
        "vae": vae,
        "text_encoder": clip_encoder(tokenizer, _POOLED),
        "tokenizer": tokenizer,
        "text_encoder_2": t5_encoder(tokenizer_2, _TEXT),
        "tokenizer_2": tokenizer_2,
        "transformer": transformer,
    }


TINY = {
    "FluxPipeline": {"dev": flux_dev, "schnell": flux_schnell},
    "FluxKontextPipeline": {"": flux_kontext},
}
