"""Pictures as other tools write them, made after the public descriptions of their formats."""

import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PROMPT = "a fox on a hill, phrsink"
NEGATIVE = "blurry, low quality"
BASE_HASH = "1a" * 5
LORA_HASH = "0123456789ab"

A1111 = (
    f"{PROMPT} <lora:Pen Ink_v2:0.8>\nNegative prompt: {NEGATIVE}\n"
    "Steps: 28, Sampler: Euler a, Schedule type: Karras, CFG scale: 6.5, Seed: 4242, "
    f"Size: 640x512, Model hash: {BASE_HASH}, Model: dreamy_v8, Clip skip: 2, "
    f'Lora hashes: "Pen Ink_v2: {LORA_HASH}", Version: v1.10.1'
)
FORGE_FLUX = (
    f"{PROMPT} <lora:Pen Ink_v2:0.8>\n"
    "Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, "
    "Seed: 4242, Size: 640x512, Model hash: 1a1a1a1a1a, Model: dreamy_v8, Version: f2.0.1v1.10.1"
)
CIVITAI = (
    f"{PROMPT}\nNegative prompt: {NEGATIVE}\n"
    "Steps: 28, CFG scale: 6.5, Sampler: Euler a, Seed: 4242, Size: 640x512, Clip skip: 2, "
    'Civitai resources: [{"type":"checkpoint","modelVersionId":77,"modelName":"Dreamy"},'
    '{"type":"lora","weight":0.8,"modelVersionId":456,"modelName":"Pen Ink"}], '
    "Civitai metadata: {}"
)


def comfy_graph() -> dict[str, Any]:
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="sd15/dreamy_v8.safetensors"),
        "10": node(
            "LoraLoader",
            lora_name="styles\\Pen Ink_v2.safetensors",
            strength_model=0.8,
            strength_clip=0.8,
            model=["4", 0],
            clip=["4", 1],
        ),
        "11": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
        "12": node("PrimitiveStringMultiline", value=PROMPT),
        "6": node("CLIPTextEncode", text=["12", 0], clip=["11", 0]),
        "7": node("CLIPTextEncode", text=NEGATIVE, clip=["11", 0]),
        "5": node("EmptyLatentImage", width=640, height=512, batch_size=1),
        "3": node(
            "KSampler",
            seed=4242,
            steps=28,
            cfg=6.5,
            sampler_name="euler_ancestral",
            scheduler="normal",
            denoise=1.0,
            model=["10", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }


def comfy_flux_graph() -> dict[str, Any]:
    """With the sampler in pieces, as FLUX's examples have it."""
    return {
        "1": node("UNETLoader", unet_name="dreamy_v8.safetensors", weight_dtype="default"),
        "2": node("DualCLIPLoader", clip_name1="t5.safetensors", clip_name2="clip_l.safetensors"),
        "3": node(
            "LoraLoaderModelOnly",
            lora_name="Pen Ink_v2.safetensors",
            strength_model=0.8,
            model=["1", 0],
        ),
        "4": node("CLIPTextEncode", text=PROMPT, clip=["2", 0]),
        "5": node("FluxGuidance", guidance=3.5, conditioning=["4", 0]),
        "6": node("ModelSamplingFlux", max_shift=1.15, model=["3", 0]),
        "7": node("BasicGuider", model=["6", 0], conditioning=["5", 0]),
        "8": node("RandomNoise", noise_seed=4242),
        "9": node("KSamplerSelect", sampler_name="euler"),
        "10": node("BasicScheduler", scheduler="simple", steps=28, denoise=1, model=["6", 0]),
        "11": node("EmptySD3LatentImage", width=640, height=512, batch_size=1),
        "12": node(
            "SamplerCustomAdvanced",
            noise=["8", 0],
            guider=["7", 0],
            sampler=["9", 0],
            sigmas=["10", 0],
            latent_image=["11", 0],
        ),
    }


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


INVOKE = {
    "app_version": "5.4.2",
    "generation_mode": "txt2img",
    "positive_prompt": PROMPT,
    "negative_prompt": NEGATIVE,
    "width": 640,
    "height": 512,
    "seed": 4242,
    "cfg_scale": 6.5,
    "steps": 28,
    "scheduler": "euler_a",
    "clip_skip": 1,
    "model": {
        "key": "k",
        "hash": "blake3:ffff",
        "name": "dreamy_v8",
        "base": "sd-1",
        "type": "main",
    },
    "loras": [{"model": {"key": "l", "name": "Pen Ink_v2", "base": "sd-1"}, "weight": 0.8}],
}
FOOOCUS = {
    "prompt": PROMPT,
    "negative_prompt": NEGATIVE,
    "styles": "[]",
    "performance": "Speed",
    "steps": 28,
    "resolution": "(640, 512)",
    "guidance_scale": 6.5,
    "base_model": "dreamy_v8.safetensors",
    "base_model_hash": BASE_HASH,
    "clip_skip": 2,
    "sampler": "euler_ancestral",
    "seed": "4242",
    "loras": [["Pen Ink_v2.safetensors", 0.8, LORA_HASH[:10]]],
    "version": "Fooocus v2.5.5",
}
SWARM = {
    "sui_image_params": {
        "prompt": PROMPT,
        "negativeprompt": NEGATIVE,
        "model": "sd15/dreamy_v8",
        "seed": 4242,
        "steps": 28,
        "cfgscale": 6.5,
        "width": 640,
        "height": 512,
        "sampler": "euler_ancestral",
        "clipstopatlayer": -2,
        "loras": ["styles/Pen Ink_v2"],
        "loraweights": ["0.8"],
        "swarm_version": "0.9.6.0",
    },
    "sui_models": [
        {"name": "styles/Pen Ink_v2.safetensors", "param": "loras", "hash": "0x" + "01" * 32}
    ],
}

TEXTS: dict[str, Mapping[str, str]] = {
    "a1111": {"parameters": A1111},
    "civitai": {"parameters": CIVITAI},
    "comfyui": {"prompt": json.dumps(comfy_graph()), "workflow": "{}"},
    "invokeai": {"invokeai_metadata": json.dumps(INVOKE)},
    "fooocus": {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
    "swarmui": {"parameters": json.dumps(SWARM)},
}


def png(texts: Mapping[str, str]) -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    for keyword, value in texts.items():
        info.add_text(keyword, value)
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def with_exif(texts: Mapping[str, str], kind: str) -> bytes:
    """A JPEG or WebP: ``parameters`` in UserComment, a graph in the tags that ComfyUI takes."""
    image, buffer = Image.new("RGB", (8, 8)), io.BytesIO()
    exif = image.getexif()
    if "parameters" in texts:
        comment = b"UNICODE\0" + texts["parameters"].encode("utf-16-be")
        exif.get_ifd(0x8769)[0x9286] = comment
    if "prompt" in texts:
        exif[0x010F] = f"workflow:{texts['workflow']}"
        exif[0x0110] = f"prompt:{texts['prompt']}"
    image.save(buffer, kind, exif=exif)
    return buffer.getvalue()
