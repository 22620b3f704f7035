"""FLUX.2, tiny: dev, which reads with Mistral, and Klein, which reads with Qwen3."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from transformers import Mistral3Config, Mistral3ForConditionalGeneration, Qwen3ForCausalLM

from studio.engine.base.folder import Pipeline
from studio.engine.tiny.parts import qwen3_config
from studio.engine.tiny.vocabulary import (
    QWEN3_TEMPLATE,
    mistral_tokenizer,
    qwen_tokenizer,
)

_TEXT = 16
_LAYERS_READ = 3
"""The pipelines read the text encoder's layers 10, 20 and 30, or 9, 18 and 27."""
_LATENT_CHANNELS = 4
_PATCH = 4
"""Latents in one token: two by two."""


def flux2_dev() -> Pipeline:
    """FLUX.2 [dev]: the guidance scale is an input of the transformer."""
    tokenizer = mistral_tokenizer([SYSTEM_MESSAGE])
    return Flux2Pipeline(
        **_components(guidance=True), text_encoder=_mistral(tokenizer), tokenizer=tokenizer
    )


def flux2_klein() -> Pipeline:
    """FLUX.2 [klein]: distilled to a few steps, without guidance."""
    return _klein(distilled=True)


def flux2_klein_base() -> Pipeline:
    """FLUX.2 [klein] base: not distilled, with classifier-free guidance."""
    return _klein(distilled=False)


def _klein(distilled: bool) -> Pipeline:
    tokenizer = qwen_tokenizer((), QWEN3_TEMPLATE)
    return Flux2KleinPipeline(
        **_components(guidance=False),
        text_encoder=Qwen3ForCausalLM(qwen3_config(tokenizer, _TEXT, layers=28)),
        tokenizer=tokenizer,
        is_distilled=distilled,
    )


def _components(guidance: bool) -> dict[str, Any]:
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=_LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=32,
    )
    # Untrained, they would be 0 and 1 and hide a wrong sign or order.
    vae.bn.running_mean.normal_(std=0.1)
    vae.bn.running_var.uniform_(0.5, 2.0)
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        "vae": vae,
        "transformer": Flux2Transformer2DModel(
            in_channels=_LATENT_CHANNELS * _PATCH,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=_LAYERS_READ * _TEXT,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=guidance,
        ),
    }


def _mistral(tokenizer: Any) -> Mistral3ForConditionalGeneration:
    text = {
        "model_type": "mistral",
        "vocab_size": len(tokenizer),
        "hidden_size": _TEXT,
        "intermediate_size": 2 * _TEXT,
        "num_hidden_layers": 31,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "image_size": 64,
        "patch_size": 16,
    }
    config = Mistral3Config(
        text_config=text,
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
    )
    return Mistral3ForConditionalGeneration(config)


TINY = {
    "Flux2Pipeline": {"": flux2_dev},
    "Flux2KleinPipeline": {"distilled": flux2_klein, "base": flux2_klein_base},
}
