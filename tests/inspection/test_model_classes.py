"""Every model class of diffusers, on the meta device: none is taken for another family."""

import random
import re
from functools import cache

import diffusers
import pytest
import torch

from studio.architecture import LABELS
from studio.inspection import LoraInspection, inspect
from tests.support.headers import Shapes, header, lora

FAMILY = {
    "AnyFlowFARTransformer3DModel": "wan",
    "AnyFlowTransformer3DModel": "wan",
    "AuraFlowTransformer2DModel": "auraflow",
    "BriaFiboTransformer2DModel": "bria",
    "BriaTransformer2DModel": "bria",
    "ChromaTransformer2DModel": "chroma",
    "ChronoEditTransformer3DModel": "wan",
    "Flux2Transformer2DModel": "flux2",
    "Flux3Transformer2DModel": "flux3",
    "FluxTransformer2DModel": "flux1",
    "HeliosTransformer3DModel": "wan",
    "HunyuanImageTransformer2DModel": "hunyuanimage",
    "HunyuanVideo15Transformer3DModel": "hunyuanvideo15",
    "HunyuanVideoFramepackTransformer3DModel": "hunyuanvideo",
    "HunyuanVideoTransformer3DModel": "hunyuanvideo",
    "Krea2Transformer2DModel": "krea2",
    "LongCatImageTransformer2DModel": "longcat",
    "Lumina2Transformer2DModel": "lumina2",
    "MotifVideoTransformer3DModel": "motif",
    "OvisImageTransformer2DModel": "ovis",
    "QwenImage21Transformer2DModel": "qwen",
    "QwenImageTransformer2DModel": "qwen",
    "WanAnimate2Transformer3DModel": "wan",
    "WanAnimateTransformer3DModel": "wan",
    "WanTransformer3DModel": "wan",
    "WanVACETransformer3DModel": "wan",
    "ZImageTransformer2DModel": "zimage",
}
"""Class → the family it is, or is built on with the same layers and widths."""
UNNAMED = (
    "AceStepTransformer1DModel", "AllegroTransformer3DModel", "AudioLDM2UNet2DConditionModel",
    "BriaFibo2Transformer2DModel", "CogVideoXTransformer3DModel", "CogView3PlusTransformer2DModel",
    "CogView4Transformer2DModel", "ConsisIDTransformer3DModel", "CosmosTransformer3DModel",
    "DiTTransformer2DModel", "DreamLiteUNetModel", "ErnieImageTransformer2DModel",
    "GlmImageTransformer2DModel", "Ideogram4Transformer2DModel", "JoyImageEditTransformer3DModel",
    "Kandinsky5Transformer3DModel", "Kandinsky6Transformer3DModel", "LTX2VideoTransformer3DModel",
    "LTXVideoTransformer3DModel", "MiniMaxH3Transformer3DModel", "MiniMaxMusic3Transformer1DModel",
    "MochiTransformer3DModel", "NucleusMoEImageTransformer2DModel", "PRXTransformer2DModel",
    "PixArtTransformer2DModel", "PriorTransformer", "SanaTransformer2DModel",
    "SanaVideoTransformer3DModel", "SkyReelsV2Transformer3DModel", "StableAudioDiTModel",
    "UNet1DModel", "UNet2DModel", "UNet3DConditionModel", "UNetMotionModel",
    "UNetSpatioTemporalConditionModel", "UVit2DModel",
)  # fmt: skip
"""Classes of no family that has a name here; SDXL's relative DreamLite as a whole."""
ALL = (*FAMILY, *UNNAMED)


@cache
def layers_of(name: str) -> Shapes:
    with torch.device("meta"):
        model = getattr(diffusers, name)()
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {
        layer: tuple(module.weight.shape)
        for layer, module in model.named_modules()
        if isinstance(module, kinds)
    }


def honest(name: str, found: LoraInspection) -> None:
    truth = FAMILY.get(name)
    if found.architecture == "unknown":
        assert truth is None or not found.candidates or truth in found.candidates
    elif found.architecture != truth:
        # FLUX.1 to its last block, which five more families have: they stand beside it.
        assert found.architecture == "flux1"
        assert truth in found.candidates
        assert LABELS[truth] in " ".join(found.evidence)


@pytest.mark.parametrize("name", ALL)
def test_a_whole_model_is_told_or_unknown(name: str) -> None:
    layers = layers_of(name)
    for shapes in (
        {f"{each}.weight": layers[each] for each in layers},
        lora(layers, "transformer."),
    ):
        found = inspect(header(shapes))
        assert found.architecture in (FAMILY.get(name, "unknown"), "unknown")
        honest(name, found)
    if name not in ("BriaTransformer2DModel", "MotifVideoTransformer3DModel"):  # others' layers
        assert found.architecture == FAMILY.get(name, "unknown")


PARTS = (
    r"attn|attention",
    r"ff|mlp|feed_forward|linear",
    r"norm|mod",
    r"blocks?\.\d|layers\.\d",
    "",
)


@pytest.mark.parametrize("name", [each for each in ALL if each != "DreamLiteUNetModel"])
def test_no_part_of_a_model_is_taken_for_another(name: str) -> None:
    layers, drawn = layers_of(name), random.Random(21)
    for pattern in PARTS:
        some = [each for each in layers if re.search(pattern, each)]
        numbers = sorted({m[1] for each in some if (m := re.search(r"\.(\d+)\.", each))})
        few = drawn.sample(numbers, min(3, len(numbers)))
        in_few = [each for each in some if re.search(rf"\.(?:{'|'.join(few)})\.", each)]
        for part in (some, drawn.sample(some, len(some) // 2), in_few if few else []):
            if part:
                prefix = drawn.choice(["transformer.", "lora_unet_", ""])
                honest(name, inspect(header(lora({each: layers[each] for each in part}, prefix))))


def unet(**config: object) -> Shapes:
    with torch.device("meta"):
        model = diffusers.UNet2DConditionModel(**config)
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {
        layer: tuple(module.weight.shape)
        for layer, module in model.named_modules()
        if isinstance(module, kinds)
    }


def test_kolors_is_told_by_its_projection() -> None:
    layers = unet(
        cross_attention_dim=2048,
        encoder_hid_dim=4096,
        encoder_hid_dim_type="text_proj",
        use_linear_projection=True,
    )
    layers["encoder_hid_proj"] = (2048, 4096)
    assert inspect(header(lora(layers, "unet."))).architecture == "kolors"
    del layers["encoder_hid_proj"]
    assert "Kolors" in " ".join(inspect(header(lora(layers, "unet."))).evidence)


@pytest.mark.parametrize(("width", "family"), [(2048, "anima"), (5120, "cosmos")])
def test_cosmos_by_its_width(width: int, family: str) -> None:
    layers: Shapes = {
        f"blocks.{n}.self_attn.{part}": (width, width)
        for n in range(4)
        for part in ("q_proj", "k_proj", "v_proj", "output_proj")
    }
    layers |= {f"blocks.{n}.mlp.layer1": (4 * width, width) for n in range(4)}
    assert inspect(header(lora(layers, "diffusion_model."))).architecture == family
