"""Stable Diffusion 1.x, tiny."""

from __future__ import annotations

from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import clip_encoder, kl_autoencoder
from studio.engine.tiny.vocabulary import clip_tokenizer


def stable_diffusion(width: int = 32) -> Pipeline:
    """SD 1.5's structure; ``width`` is the UNet's first and the text encoder's width."""
    tokenizer = clip_tokenizer()
    text_encoder = clip_encoder(tokenizer, width)
    unet = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(width, width),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    return StableDiffusionPipeline(
        vae=kl_autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


TINY = {"StableDiffusionPipeline": {"": stable_diffusion}}
