"""Names and shapes of the real model classes at full size, on the meta device: no memory."""

from functools import cache

import torch
from diffusers import (
    AuraFlowTransformer2DModel,
    AutoencoderKL,
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    HunyuanVideoTransformer3DModel,
    Krea2Transformer2DModel,
    Lumina2Transformer2DModel,
    QwenImage21Transformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    WanTransformer3DModel,
    ZImageTransformer2DModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from tests.support.headers import Shapes

SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
MINI = {
    "block_out_channels": (64, 128, 128),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 128,
    "norm_num_groups": 16,
}
KLEIN_4B = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24}
KLEIN_9B = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32}
SD3 = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
}
SD3_LARGE = {
    "num_layers": 38,
    "num_attention_heads": 38,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 2432,
}
REFINER = {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 2, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "cross_attention_dim": 1280,
    "attention_head_dim": (6, 12, 24, 24),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2560,
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
}
T5_XXL = {
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_heads": 64,
    "num_layers": 24,
    "feed_forward_proj": "gated-gelu",
}
WAN_SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
WAN_5B = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30}
MODELS = {
    "mini": lambda: UNet2DConditionModel(**MINI),
    "sd15": lambda: UNet2DConditionModel(cross_attention_dim=768),
    "sd2": lambda: UNet2DConditionModel(cross_attention_dim=1024, use_linear_projection=True),
    "sdxl": lambda: UNet2DConditionModel(**SDXL),
    "sd3": lambda: SD3Transformer2DModel(**SD3),
    "flux1": lambda: FluxTransformer2DModel(guidance_embeds=True),
    "flux2-klein-4b": lambda: Flux2Transformer2DModel(joint_attention_dim=7680, **KLEIN_4B),
    "flux2-klein-9b": lambda: Flux2Transformer2DModel(joint_attention_dim=12288, **KLEIN_9B),
    "flux2-dev": Flux2Transformer2DModel,
    "chroma": ChromaTransformer2DModel,
    "qwen": QwenImageTransformer2DModel,
    "zimage": ZImageTransformer2DModel,
    "wan": WanTransformer3DModel,
    "lumina2": Lumina2Transformer2DModel,
    "vae": AutoencoderKL,
    "clip-768": lambda: CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=12)),
    "clip-128": lambda: CLIPTextModel(CLIPTextConfig(hidden_size=128, num_hidden_layers=3)),
}
RELATIVES = {
    "sdxl-refiner": lambda: UNet2DConditionModel(**REFINER),
    "sd3-large": lambda: SD3Transformer2DModel(**SD3_LARGE),
    "qwen-2.1": QwenImage21Transformer2DModel,
    "wan-1.3b": lambda: WanTransformer3DModel(**WAN_SMALL),
    "wan-5b": lambda: WanTransformer3DModel(**WAN_5B),
    "hunyuanvideo": lambda: HunyuanVideoTransformer3DModel(guidance_embeds=True),
    "auraflow": AuraFlowTransformer2DModel,
    "krea2": Krea2Transformer2DModel,
    "clip-1280": lambda: CLIPTextModel(CLIPTextConfig(**CLIP_G)),
    "t5-xxl": lambda: T5EncoderModel(T5Config(**T5_XXL)),
}
"""Models that are only told apart from those above, and larger text encoders."""
UNETS = ("mini", "sd15", "sd2", "sdxl")


def build(model: str) -> torch.nn.Module:
    """The model with real memory; for small ones."""
    return {**MODELS, **RELATIVES}[model]()


@cache
def weights_of(model: str) -> Shapes:
    """Every tensor of a model at full size; the meta device needs no memory for it."""
    with torch.device("meta"):
        built = {**MODELS, **RELATIVES}[model]()
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


@cache
def layers_of(model: str) -> Shapes:
    """The weights of linear and convolution layers: module → shape."""
    with torch.device("meta"):
        built = {**MODELS, **RELATIVES}[model]()
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {
        name: tuple(module.weight.shape)
        for name, module in built.named_modules()
        if isinstance(module, kinds)
    }
