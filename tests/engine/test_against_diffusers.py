"""Where diffusers' own loader takes a file in full, the studio computes the same, to the bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline
from studio.engine.families import family_of
from studio.engine.tiny import build_tiny
from tests.support.applying import apply, probe
from tests.support.lora_formats import FORMATS, held, tiny_lora

STRENGTH = 0.8
PLAIN = "diffusers without metadata"
BLOCKS = r"transformer_blocks|^layers|_refiner"
DOUBLE = r"^transformer_blocks.*attn"
"""diffusers splits FLUX.1's single blocks at the full model's widths only."""

CASES = (
    ("StableDiffusionPipeline", Architecture.SD15, PLAIN, "attn|ff|proj|conv", True),
    ("StableDiffusionPipeline", Architecture.SD15, "kohya", "attn|ff|proj|conv1", True),
    ("StableDiffusionXLPipeline", Architecture.SDXL, PLAIN, "attn|ff|proj|conv", True),
    ("StableDiffusionXLPipeline", Architecture.SDXL, "kohya", "attn|ff|proj_(in|out)", False),
    ("FluxPipeline", Architecture.FLUX1, PLAIN, "", True),
    ("FluxPipeline", Architecture.FLUX1, "kohya, authors' names", DOUBLE, False),
    ("FluxPipeline", Architecture.FLUX1, "XLabs", DOUBLE, False),
    ("Flux2KleinPipeline", Architecture.FLUX2, "ai-toolkit, authors' names", BLOCKS, False),
    ("Flux2KleinPipeline", Architecture.FLUX2, "kohya, authors' names", BLOCKS, False),
    ("QwenImagePipeline", Architecture.QWEN, "ai-toolkit", BLOCKS, False),
    ("QwenImagePipeline", Architecture.QWEN, "kohya", BLOCKS, False),
    ("ZImagePipeline", Architecture.ZIMAGE, "ai-toolkit", BLOCKS, False),
    ("ZImagePipeline", Architecture.ZIMAGE, "kohya", r"attention", False),
)  # fmt: skip


@cache
def tiny(name: str) -> Pipeline:
    return build_tiny(name)


@pytest.mark.parametrize(("name", "architecture", "format", "only", "text"), CASES)
def test_the_same_as_diffusers(
    name: str, architecture: Architecture, format: str, only: str, text: bool, tmp_path: Path
) -> None:
    pipeline, family = tiny(name), family_of(architecture)
    lora = tiny_lora(pipeline, only=only, text_encoders=text)
    if architecture is Architecture.FLUX1:
        # Its loader knows no layers of T5.
        lora = {part: layers for part, layers in lora.items() if part != "text_encoder_2"}
    way = FORMATS[architecture][format]
    path = way.write(held(lora, way), tmp_path / "lora.safetensors")
    before = probe(family, pipeline)
    with apply(pipeline, path, strength=STRENGTH):
        ours = probe(family, pipeline)
    try:
        pipeline.load_lora_weights(
            tmp_path, weight_name=path.name, adapter_name="theirs", use_safetensors=True
        )
        pipeline.set_adapters(["theirs"], [STRENGTH])
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        _align(pipeline)
        theirs = probe(family, pipeline)
    finally:
        pipeline.unload_lora_weights()
    assert not torch.equal(ours[-1], before[-1])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def _align(pipeline: Pipeline) -> None:
    """Move diffusers' weights out of the file's buffer: how far into it a tensor begins decides
    on some processors which kernel reads it, and so the last bit of what it computes."""
    for part in pipeline.components.values():
        for module in part.modules() if isinstance(part, torch.nn.Module) else ():
            if isinstance(module, LoraLayer):
                for weight in (*module.lora_A.parameters(), *module.lora_B.parameters()):
                    weight.data = weight.data.clone()
