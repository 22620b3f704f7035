"""What tools write for a model's layers: names, dtypes, shapes and metadata of LoRA files."""

import json
from collections.abc import Iterator
from math import prod

from tests.support.full_size import layers_of
from tests.support.header_data import Sample
from tests.support.headers import Shapes, only
from tests.support.original_names import original

RANK = 8
_UNETS = ("mini", "sd15", "sd2", "sdxl", "sdxl-refiner")
MODELS_OF: dict[str, dict[str, str]] = {
    "mini": {"mini": "mini"},
    "sd15": {"sd15": "sd15"},
    "sd2": {"sd2": "sd2"},
    "sdxl": {"sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner"},
    "sd3": {"sd3": "sd3", "sd3/large": "sd3-large"},
    "flux1": {"flux1": "flux1"},
    "flux2": {
        "flux2/klein-4b": "flux2-klein-4b",
        "flux2/klein-9b": "flux2-klein-9b",
        "flux2/dev": "flux2-dev",
    },
    "chroma": {"chroma": "chroma"},
    "qwen": {"qwen": "qwen", "qwen/2.1": "qwen-2.1"},
    "zimage": {"zimage": "zimage"},
    "wan": {"wan/14b": "wan", "wan/1.3b": "wan-1.3b", "wan/5b": "wan-5b"},
    "lumina2": {"lumina2": "lumina2"},
    "hunyuanvideo": {"hunyuanvideo": "hunyuanvideo"},
    "auraflow": {"auraflow": "auraflow"},
    "krea2": {"krea2": "krea2"},
    "anima": {"anima": "anima"},
}
"""File of test data → family → model of tests/support/full_size.py."""

CLIP_L, CLIP_G, T5 = "clip-768", "clip-1280", "t5-xxl"
_COMFY = "text_encoders.{}.transformer."
_COMFY_L = _COMFY.format("clip_l") + "text_model."
TEXT: dict[tuple[str, str], dict[str, str]] = {
    ("sd15", "kohya"): {CLIP_L: "lora_te_text_model_"},
    ("sd15", "diffusers"): {CLIP_L: "text_encoder.text_model."},
    ("sd15", "comfyui"): {CLIP_L: _COMFY_L},
    ("sdxl", "kohya"): {CLIP_L: "lora_te1_text_model_", CLIP_G: "lora_te2_text_model_"},
    ("sdxl", "diffusers"): {
        CLIP_L: "text_encoder.text_model.",
        CLIP_G: "text_encoder_2.text_model.",
    },
    ("sdxl", "comfyui"): {CLIP_L: _COMFY_L, CLIP_G: _COMFY.format("clip_g") + "text_model."},
    ("flux1", "kohya"): {CLIP_L: "lora_te1_text_model_", T5: "lora_te3_"},
    ("flux1", "diffusers"): {CLIP_L: "text_encoder.text_model."},
    ("flux1", "comfyui"): {CLIP_L: _COMFY_L, T5: _COMFY.format("t5xxl")},
}
"""(family, format) → text encoder of full_size.py → what stands before its layers."""

_KOHYA = {
    "ss_network_module": "networks.lora",
    "ss_network_dim": str(RANK),
    "ss_network_alpha": "4.0",
    "ss_output_name": "ink",
    "ss_tag_frequency": json.dumps({"10_phrsink": {"phrsink": 12, "a boat": 3}}),
    "sshs_model_hash": "9f" * 32,
}
_LYCORIS = {**_KOHYA, "ss_network_module": "lycoris.kohya"}
_TOOLKIT = {"format": "pt", "software": json.dumps({"name": "ai-toolkit"}), "name": "ink"}
_PEFT = {"format": "pt"}


def _anima() -> Shapes:
    """Cosmos-Predict 2's blocks (2B) and the adapter to its text encoder, as kohya names them."""
    layers: Shapes = {}
    for block in range(28):
        stem = f"blocks.{block}"
        for attention, width in (("self_attn", 2048), ("cross_attn", 1024)):
            layers[f"{stem}.{attention}.q_proj"] = (2048, 2048)
            layers[f"{stem}.{attention}.k_proj"] = (2048, width)
            layers[f"{stem}.{attention}.v_proj"] = (2048, width)
            layers[f"{stem}.{attention}.output_proj"] = (2048, 2048)
        layers[f"{stem}.mlp.layer1"] = (8192, 2048)
        layers[f"{stem}.mlp.layer2"] = (2048, 8192)
    for block in range(6):
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            layers[f"llm_adapter.blocks.{block}.self_attn.{part}"] = (1024, 1024)
    return layers


def _layers(model: str) -> Shapes:
    return _anima() if model == "anima" else layers_of(model)


def _pairs(layers: Shapes, prefix: str, down: str, up: str) -> Shapes:
    tensors: Shapes = {}
    for name, shape in layers.items():
        tensors[f"{prefix}{name}.{down}.weight"] = (RANK, *shape[1:])
        tensors[f"{prefix}{name}.{up}.weight"] = (shape[0], RANK, *(1 for _ in shape[2:]))
    return tensors


def _flat(layers: Shapes, prefix: str = "lora_unet_") -> Shapes:
    return {f"{prefix}{name.replace('.', '_')}": shape for name, shape in layers.items()}


def _kohya(layers: Shapes, prefix: str = "lora_unet_") -> Shapes:
    alphas: Shapes = {f"{name}.alpha": () for name in _flat(layers, prefix)}
    return _pairs(_flat(layers, prefix), "", "lora_down", "lora_up") | alphas


def _text(family: str, spelling: str) -> Shapes:
    """The layers of the text encoders that trainers adapt beside the denoiser."""
    tensors: Shapes = {}
    for model, prefix in TEXT.get((family, spelling), {}).items():
        layers = only(layers_of(model), r"encoder\.(?:layers|block)\.")
        if spelling == "kohya":
            tensors |= _kohya(layers, prefix)
        else:
            tensors |= _pairs(layers, prefix, "lora_A", "lora_B")
    return tensors


def _dora(layers: Shapes) -> Shapes:
    return _kohya(layers) | {
        f"{name}.dora_scale": (shape[0], *(1 for _ in shape[1:]))
        for name, shape in _flat(layers).items()
    }


def _loha(layers: Shapes) -> Shapes:
    tensors: Shapes = {}
    for name, shape in _flat(layers).items():
        for half in ("w1", "w2"):
            tensors[f"{name}.hada_{half}_a"] = (shape[0], RANK)
            tensors[f"{name}.hada_{half}_b"] = (RANK, prod(shape[1:]))
        tensors[f"{name}.alpha"] = ()
    return tensors


def _lokr(layers: Shapes) -> Shapes:
    """Factor 4 on both sides, the second factor as a product."""
    tensors: Shapes = {}
    for name, shape in _flat(layers).items():
        if shape[0] % 4 or shape[1] % 4:
            continue
        tensors[f"{name}.lokr_w1"] = (4, 4)
        tensors[f"{name}.lokr_w2_a"] = (shape[0] // 4, RANK)
        tensors[f"{name}.lokr_w2_b"] = (RANK, prod(shape[1:]) // 4)
        tensors[f"{name}.alpha"] = ()
    return tensors


def _xlabs(layers: Shapes) -> Shapes:
    """XLabs adapts the attention of double blocks alone: 1 is the image's, 2 the text's."""
    tensors: Shapes = {}
    for block in range(sum(name.endswith("img_attn.qkv") for name in layers)):
        for part, width in (("qkv", 9216), ("proj", 3072)):
            for stream in (1, 2):
                stem = f"double_blocks.{block}.processor.{part}_lora{stream}"
                tensors[f"{stem}.down.weight"] = (16, 3072)
                tensors[f"{stem}.up.weight"] = (width, 16)
    return tensors


def build(name: str) -> dict[str, dict[str, Sample]]:
    """The samples of one file of test data, made from the model classes."""
    return {
        family: {sample.format: sample for sample in _files(family, _layers(model))}
        for family, model in MODELS_OF[name].items()
    }


def _files(family: str, own: Shapes) -> Iterator[Sample]:
    """One model in every format; ``own`` are its layers as diffusers names them."""
    authors = original(family.partition("/")[0], own)
    component = "unet." if family in _UNETS else "transformer."
    everything = authors
    if family in _UNETS:
        own = only(own, r"attentions\.")
        authors = only(authors, r"attentions\.|put_blocks\.|middle_block\.")
    if family != "sd15":  # LyCORIS adapts convolutions too; one family shows them
        everything = authors
    a_and_b = ("lora_A", "lora_B")
    with_text = {name: _text(family, name) for name in ("diffusers", "comfyui", "kohya")}
    plain = _pairs(own, component, *a_and_b) | with_text["diffusers"]
    yield Sample(family, "diffusers", _PEFT, "F32", plain)
    yield Sample(family, "peft", _PEFT, "F32", _pairs(own, "base_model.model.", *a_and_b))
    yield Sample(family, "bare", _PEFT, "BF16", _pairs(own, "", *a_and_b))
    comfy = _pairs(authors, "diffusion_model.", *a_and_b) | with_text["comfyui"]
    yield Sample(family, "comfyui", _TOOLKIT, "BF16", comfy)
    yield Sample(family, "kohya", _KOHYA, "F16", _kohya(authors) | with_text["kohya"])
    yield Sample(family, "dora", _KOHYA, "F16", _dora(authors))
    yield Sample(family, "loha", _LYCORIS, "F16", _loha(everything))
    yield Sample(family, "lokr", _LYCORIS, "BF16", _lokr(everything))
    if family == "flux1":
        yield Sample(family, "xlabs", {}, "F32", _xlabs(authors))
