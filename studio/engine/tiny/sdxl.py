"""SDXL, tiny: two text encoders of different widths, the pooled one with a projection."""

from __future__ import annotations

from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import clip_encoder, kl_autoencoder, projecting_clip_encoder
from studio.engine.tiny.vocabulary import clip_tokenizer

_FIRST, _SECOND = 32, 48
"""Widths of the text encoders; the UNet reads them side by side."""
_TIME_IDS, _TIME_WIDTH = 6, 8


def sdxl(zeros_for_no_negative: bool = True) -> Pipeline:
    """SDXL's structure.

    Args:
        zeros_for_no_negative: the published base's setting; SDXL Turbo's too.
    """
    tokenizer, tokenizer_2 = clip_tokenizer(), clip_tokenizer(pad="!")
    unet = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        attention_head_dim=(2, 4),
        cross_attention_dim=_FIRST + _SECOND,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_WIDTH,
        projection_class_embeddings_input_dim=_SECOND + _TIME_IDS * _TIME_WIDTH,
        norm_num_groups=8,
    )
    return StableDiffusionXLPipeline(
        vae=kl_autoencoder(scaling_factor=0.13025, force_upcast=True),
        text_encoder=clip_encoder(tokenizer, _FIRST),
        text_encoder_2=projecting_clip_encoder(tokenizer_2, _SECOND, layers=4),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            steps_offset=1,
            timestep_spacing="leading",
        ),
        force_zeros_for_empty_prompt=zeros_for_no_negative,
        add_watermarker=False,
    )


def sdxl_reading_empty() -> Pipeline:
    """As many finetunes are: without a negative prompt, an empty text is read."""
    return sdxl(zeros_for_no_negative=False)


TINY = {"StableDiffusionXLPipeline": {"": sdxl, "reads-empty-negative": sdxl_reading_empty}}
