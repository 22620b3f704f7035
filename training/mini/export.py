"""Writes the base as a StableDiffusionPipeline in the diffusers layout, fp16 safetensors."""

from __future__ import annotations

import json
import tempfile
from copy import deepcopy
from pathlib import Path

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini.base import build_scheduler


def build_pipeline(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionPipeline:
    """The parts as one pipeline; no safety checker, since the model can draw 36 things only."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export_base(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    folder: Path,
) -> None:
    """Save to `folder`; each file is replaced in one move, so that a reader finds whole files."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = build_pipeline(
        deepcopy(vae).half(), deepcopy(unet).half(), deepcopy(text_encoder).half(), tokenizer
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        _save_plain_vocabulary(Path(temporary) / "tokenizer")
        for source in sorted(Path(temporary).rglob("*")):
            if source.is_file():
                target = folder / source.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                source.chmod(0o644)
                source.replace(target)


def _save_plain_vocabulary(folder: Path) -> None:
    """vocab.json and merges.txt beside tokenizer.json, for readers of the older layout."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    vocabulary = json.dumps(model["vocab"], ensure_ascii=False)
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    lines = "\n".join(["#version: 0.2", *merges])
    (folder / "merges.txt").write_text(lines + "\n", encoding="utf-8")


def copy_files(source: Path, folder: Path) -> list[str]:
    """Copy the trained weights that lie in `source`, if any; their names."""
    names = list[str]()
    for file in sorted(source.glob("*.safetensors")):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{file.name}.part"
        temporary.write_bytes(file.read_bytes())
        temporary.replace(folder / file.name)
        names.append(file.name)
    return names
