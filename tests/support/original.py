"""A pipeline's weights in the original layout of Stable Diffusion, as one checkpoint file.

The way back from diffusers' names, written from the original models' own classes
(CompVis' ``openaimodel.py`` and ``model.py``, OpenCLIP's ``transformer.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_EDGES = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_VAE_ATTENTION = {
    "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
}  # fmt: skip
_OPENCLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip


def save_original(
    pipeline: Any, path: Path, dtype: torch.dtype = torch.float32, clip_by: str = "transformers"
) -> Path:
    """Write an SD 1.5 or SDXL pipeline as one checkpoint.

    Args:
        clip_by: whose names CLIP-L has: ``transformers``, ``novelai`` or ``openai``.
    """
    two = hasattr(pipeline, "text_encoder_2")
    clip = "conditioner.embedders.0." if two else "cond_stage_model."
    tensors = {f"model.diffusion_model.{k}": v for k, v in _unet(pipeline.unet)}
    tensors |= {f"first_stage_model.{k}": v for k, v in _vae(pipeline.vae)}
    bare = {
        name.removeprefix("text_model."): value
        for name, value in pipeline.text_encoder.state_dict().items()
    }
    if clip_by == "openai":
        depth = pipeline.text_encoder.config.num_hidden_layers
        tensors |= {f"{clip}model.{k}": v for k, v in _openai(bare, depth)}
    else:
        root = "" if clip_by == "novelai" else "text_model."
        tensors |= {f"{clip}transformer.{root}{name}": value for name, value in bare.items()}
    if two:
        second = _openclip(pipeline.text_encoder_2)
        tensors |= {f"conditioner.embedders.1.model.{k}": v for k, v in second}
    # What real checkpoints hold besides, and nobody loads.
    tensors["alphas_cumprod"] = torch.ones(4)
    save_file({k: v.to(dtype).contiguous().clone() for k, v in tensors.items()}, path)
    return path


def _unet(unet: Any) -> Iterator[tuple[str, torch.Tensor]]:
    layers = unet.config.layers_per_block
    for name, value in unet.state_dict().items():
        module, _, kind = name.rpartition(".")
        yield f"{_UNET_EDGES.get(module) or _unet_block(unet, module, layers)}.{kind}", value


def _unet_block(unet: Any, module: str, layers: int) -> str:
    if module.startswith("mid_block."):
        _, part, number, rest = module.split(".", 3)
        index = 1 if part == "attentions" else 2 * int(number)
        return f"middle_block.{index}.{_RESNET.get(rest, rest)}"
    side, block, part, number, rest = module.split(".", 4)
    first = int(block) * (layers + 1)
    if part == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op"
    if part == "upsamplers":
        place = 2 if hasattr(unet.up_blocks[int(block)], "attentions") else 1
        return f"output_blocks.{first + layers}.{place}.conv"
    index = first + int(number) + (1 if side == "down_blocks" else 0)
    inner = f"1.{rest}" if part == "attentions" else f"0.{_RESNET[rest]}"
    return f"{'input' if side == 'down_blocks' else 'output'}_blocks.{index}.{inner}"


def _vae(vae: Any) -> Iterator[tuple[str, torch.Tensor]]:
    ups = len(vae.config.up_block_types)
    for name, value in vae.state_dict().items():
        changed = name.replace("conv_norm_out", "norm_out").replace(
            "conv_shortcut", "nin_shortcut"
        )
        changed = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", changed)
        changed = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", changed)
        changed = re.sub(
            r"up_blocks\.(\d+)\.(resnets\.|upsamplers\.0)",
            lambda m: f"up.{ups - 1 - int(m[1])}.{'block.' if m[2][0] == 'r' else 'upsample'}",
            changed,
        )
        changed = re.sub(
            r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", changed
        )
        match = re.fullmatch(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)", changed)
        if match:
            changed = f"{match[1]}.mid.attn_1.{_VAE_ATTENTION[match[2]]}.{match[3]}"
            if value.ndim == 2:  # the original's attention is a 1x1 convolution
                value = value[:, :, None, None]
        yield changed, value


def _openclip(encoder: Any) -> Iterator[tuple[str, torch.Tensor]]:
    state = encoder.state_dict()
    yield "text_projection", state["text_projection.weight"].T
    bare = {name.removeprefix("text_model."): value for name, value in state.items()}
    yield from _openai(bare, encoder.config.num_hidden_layers)


def _openai(state: dict[str, Any], depth: int) -> Iterator[tuple[str, torch.Tensor]]:
    yield "positional_embedding", state["embeddings.position_embedding.weight"]
    yield "token_embedding.weight", state["embeddings.token_embedding.weight"]
    for kind in ("weight", "bias"):
        yield f"ln_final.{kind}", state[f"final_layer_norm.{kind}"]
        for index in range(depth):
            old, new = f"encoder.layers.{index}", f"transformer.resblocks.{index}"
            parts = [state[f"{old}.self_attn.{side}_proj.{kind}"] for side in "qkv"]
            yield f"{new}.attn.in_proj_{kind}", torch.cat(parts)
            for theirs, original in _OPENCLIP.items():
                yield f"{new}.{original}.{kind}", state[f"{old}.{theirs}.{kind}"]
