"""Layers that a file has fused and the base has apart: the same changes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline
from studio.engine.families import family_of
from studio.engine.lora.match import base_modules, fit_to_base
from studio.engine.tiny import build_tiny
from studio.errors import LoraRefused
from tests.support.applying import apply, probe, read

CASES = {
    "to_qkv of FLUX.1": (
        Architecture.FLUX1,
        "transformer_blocks.0.attn.to_qkv",
        ("to_q", "to_k", "to_v"),
    ),
    "to_added_qkv of Qwen-Image": (
        Architecture.QWEN,
        "transformer_blocks.0.attn.to_added_qkv",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
    ),
    "to_kv of SDXL": (
        Architecture.SDXL,
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_kv",
        ("to_k", "to_v"),
    ),
    "layers of two parents in FLUX.1": (
        Architecture.FLUX1,
        "single_blocks.0.linear1",
        tuple(
            f"single_transformer_blocks.0.{name}"
            for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
        ),
    ),
}
RANKS, SCALES = (2, 4, 3, 5), (0.5, 2.0, 1.0, 0.25)
"""Of the parts, each with its own: a converter stacks them, the rows of ``up`` block by block."""
CLASSES = {
    Architecture.FLUX1: "FluxPipeline",
    Architecture.QWEN: "QwenImagePipeline",
    Architecture.SDXL: "StableDiffusionXLPipeline",
}


@cache
def tiny(architecture: Architecture) -> Pipeline:
    return build_tiny(CLASSES[architecture])


def stacked(downs: Sequence[Tensor], ups: Sequence[Tensor]) -> dict[str, Tensor]:
    scaled = [up * scale for up, scale in zip(ups, SCALES, strict=False)]
    return {"lora_A.weight": torch.cat(list(downs)), "lora_B.weight": torch.block_diag(*scaled)}


@pytest.mark.parametrize(("architecture", "name", "parts"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("prefix", ["", "lora_unet_"])
def test_a_fused_layer_is_its_parts(
    architecture: Architecture, name: str, parts: tuple[str, ...], prefix: str, tmp_path: Path
) -> None:
    pipeline = tiny(architecture)
    component = "unet" if architecture is Architecture.SDXL else "transformer"
    modules = base_modules(getattr(pipeline, component))
    stem = name[: name.rfind(".") + 1]
    full = [part if "." in part else stem + part for part in parts]
    weights = [modules[part].get_parameter("weight") for part in full]
    seeded = torch.Generator().manual_seed(4)
    downs = [
        torch.randn(r, w.shape[1], generator=seeded) for r, w in zip(RANKS, weights, strict=False)
    ]
    ups = [
        torch.randn(w.shape[0], r, generator=seeded) for r, w in zip(RANKS, weights, strict=False)
    ]
    apart: dict[str, Tensor] = {}
    for part, down, up, scale in zip(full, downs, ups, SCALES, strict=False):
        apart |= {
            f"{component}.{part}.lora_down.weight": down,
            f"{component}.{part}.lora_up.weight": up,
            f"{component}.{part}.alpha": torch.tensor(scale * down.shape[0]),
        }
    spelled = prefix + name.replace(".", "_") if prefix else f"diffusion_model.{name}"
    together = {f"{spelled}.{end}": value for end, value in stacked(downs, ups).items()}
    family, outputs = family_of(architecture), []
    for number, tensors in enumerate((apart, together)):
        save_file(tensors, tmp_path / f"{number}.safetensors")
        with apply(pipeline, tmp_path / f"{number}.safetensors") as targets:
            assert {target.module for target in targets} == set(full)
            outputs.append(probe(family, pipeline))
    base = probe(family, pipeline)
    assert not torch.equal(outputs[0][-1], base[-1])
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_parts_of_a_layer_that_the_base_has_fused_are_refused_whole(tmp_path: Path) -> None:
    """No tool is known to write them; applied in part they would be another LoRA."""
    pipeline = build_tiny("Flux2KleinPipeline")
    fused = base_modules(pipeline.transformer)["single_transformer_blocks.0.attn.to_qkv_mlp_proj"]
    width = fused.get_parameter("weight").shape[1]
    tensors = {
        f"transformer.single_transformer_blocks.0.attn.{part}.{end}": torch.ones(*shape)
        for part in ("to_q", "to_k", "to_v")
        for end, shape in (("lora_A.weight", (2, width)), ("lora_B.weight", (width, 2)))
    }
    save_file(tensors, tmp_path / "apart.safetensors")
    with pytest.raises(LoraRefused, match="do not exist in") as refusal:
        fit_to_base(read(tmp_path / "apart.safetensors"), pipeline)
    assert "has apart what" in str(refusal.value)
    assert "single_transformer_blocks.0.attn.to_qkv_mlp_proj" in str(refusal.value)
