"""Z-Image, tiny: Turbo and base are one structure, and differ in their schedule."""

from __future__ import annotations

from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen3Model

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import kl_autoencoder, qwen3_config
from studio.engine.tiny.vocabulary import QWEN3_TEMPLATE, qwen_tokenizer

_TEXT = 32
_LATENT_CHANNELS = 16


def z_image_turbo() -> Pipeline:
    return _pipeline(shift=3.0)


def z_image_base() -> Pipeline:
    return _pipeline(shift=6.0)


def _pipeline(shift: float) -> Pipeline:
    tokenizer = qwen_tokenizer((), QWEN3_TEMPLATE)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        vae=kl_autoencoder(
            latent_channels=_LATENT_CHANNELS,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=0.3611,
            shift_factor=0.1159,
        ),
        text_encoder=Qwen3Model(qwen3_config(tokenizer, _TEXT, layers=3)),
        tokenizer=tokenizer,
        transformer=ZImageTransformer2DModel(
            in_channels=_LATENT_CHANNELS,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=_TEXT,
            axes_dims=[4, 6, 6],
            axes_lens=[1024, 64, 64],
        ),
    )


TINY = {"ZImagePipeline": {"turbo": z_image_turbo, "base": z_image_base}}
