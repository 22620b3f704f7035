"""Qwen-Image, tiny: text to image, and the two pipelines that edit pictures."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from studio.engine.base.folder import Pipeline
from studio.engine.base.processors import pictures_processor
from studio.engine.tiny.vocabulary import qwen_tokenizer

_TEXT, _HEADS, _HEAD = 32, 2, 16
_LATENT_CHANNELS = 16
_PATCH = 4
"""Latents in one token: two by two."""


def qwen_image() -> Pipeline:
    """Qwen-Image: text to image."""
    return _with_tokenizer(QwenImagePipeline, {})


def qwen_image_edit() -> Pipeline:
    """Qwen-Image-Edit: one picture, which the text encoder sees too."""
    return _with_tokenizer(QwenImageEditPipeline, {"processor": None})


def qwen_image_edit_plus() -> Pipeline:
    """Qwen-Image-Edit-2509 and -2511: several pictures."""
    return _with_tokenizer(QwenImageEditPlusPipeline, {"processor": None}, two_times=True)


def _with_tokenizer(
    pipeline: type[Any], extra: dict[str, Any], two_times: bool = False
) -> Pipeline:
    """The pipeline, whose own template is a word list of its tokenizer.

    So the template has exactly as many tokens as the pipeline takes off again.
    """
    built = pipeline(
        scheduler=_scheduler(),
        vae=_autoencoder(),
        text_encoder=None,
        tokenizer=None,
        transformer=_transformer(two_times),
        **extra,
    )
    tokenizer = qwen_tokenizer([built.prompt_template_encode])
    built.register_modules(tokenizer=tokenizer, text_encoder=_text_encoder(tokenizer))
    if extra:
        images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=28 * 28 * 1280)
        built.register_modules(processor=pictures_processor()(images, tokenizer))
    return built


def _transformer(two_times: bool) -> QwenImageTransformer2DModel:
    return QwenImageTransformer2DModel(
        in_channels=_LATENT_CHANNELS * _PATCH,
        out_channels=_LATENT_CHANNELS,
        num_layers=2,
        attention_head_dim=_HEAD,
        num_attention_heads=_HEADS,
        joint_attention_dim=_TEXT,
        axes_dims_rope=(4, 6, 6),
        zero_cond_t=two_times,
    )


def _autoencoder() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=2, dim_mult=[1, 2, 4, 4], z_dim=_LATENT_CHANNELS, num_res_blocks=1
    )


def _scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, shift_terminal=0.02
    )


def _text_encoder(tokenizer: Any) -> Qwen2_5_VLForConditionalGeneration:
    vision = {
        "depth": 2,
        "hidden_size": _TEXT,
        "intermediate_size": 2 * _TEXT,
        "num_heads": _HEADS,
        "out_hidden_size": _TEXT,
        "fullatt_block_indexes": [1],
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": _TEXT,
        "intermediate_size": 2 * _TEXT,
        "num_hidden_layers": 2,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": 1,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [2, 3, 3],
        },
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)
    return Qwen2_5_VLForConditionalGeneration(config)


TINY = {
    "QwenImagePipeline": {"": qwen_image},
    "QwenImageEditPipeline": {"": qwen_image_edit},
    "QwenImageEditPlusPipeline": {"": qwen_image_edit_plus},
}
