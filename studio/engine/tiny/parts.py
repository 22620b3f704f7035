"""Components that several families share, as small as their classes allow."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen3Config,
    T5Config,
    T5EncoderModel,
)


def clip_config(tokenizer: Any, width: int, layers: int) -> CLIPTextConfig:
    """A CLIP text encoder of ``width`` features for ``tokenizer``."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def clip_encoder(tokenizer: Any, width: int = 32, layers: int = 3) -> CLIPTextModel:
    return CLIPTextModel(clip_config(tokenizer, width, layers))


def projecting_clip_encoder(
    tokenizer: Any, width: int = 32, layers: int = 3
) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(clip_config(tokenizer, width, layers))


def kl_autoencoder(**changed: Any) -> AutoencoderKL:
    """Eight pixels to a latent, like the full-sized ones."""
    settings: dict[str, Any] = {
        "block_out_channels": (8, 8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 4,
    }
    return AutoencoderKL(**(settings | changed))


def qwen3_config(tokenizer: Any, width: int, layers: int) -> Qwen3Config:
    """A Qwen3 text encoder of ``width`` features for ``tokenizer``."""
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )


def t5_encoder(tokenizer: Any, width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=width,
            d_kv=12,
            d_ff=2 * width,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            use_cache=False,
        )
    )
