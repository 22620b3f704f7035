"""Stable Diffusion 3.5, tiny: two CLIP encoders and T5, and a second attention as in Medium."""

from __future__ import annotations

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import kl_autoencoder, projecting_clip_encoder, t5_encoder
from studio.engine.tiny.vocabulary import clip_tokenizer, t5_tokenizer

_FIRST, _SECOND, _TEXT = 16, 32, 64
"""Widths of the text encoders; the CLIPs' together are filled up to T5's."""
_LATENT_CHANNELS = 4


def stable_diffusion_3() -> Pipeline:
    tokenizer, tokenizer_2, tokenizer_3 = clip_tokenizer(), clip_tokenizer(pad="!"), t5_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            in_channels=_LATENT_CHANNELS,
            out_channels=_LATENT_CHANNELS,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=_TEXT,
            caption_projection_dim=32,
            pooled_projection_dim=_FIRST + _SECOND,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_autoencoder(
            latent_channels=_LATENT_CHANNELS,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=1.5305,
            shift_factor=0.0609,
        ),
        text_encoder=projecting_clip_encoder(tokenizer, _FIRST),
        tokenizer=tokenizer,
        text_encoder_2=projecting_clip_encoder(tokenizer_2, _SECOND),
        tokenizer_2=tokenizer_2,
        text_encoder_3=t5_encoder(tokenizer_3, _TEXT),
        tokenizer_3=tokenizer_3,
    )


TINY = {"StableDiffusion3Pipeline": {"": stable_diffusion_3}}
