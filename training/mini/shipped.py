"""What lies in presets/mini, and how an exported part is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

PRESETS: Final = Path(__file__).resolve().parents[2] / "presets" / "mini"


def load_vae(folder: Path) -> AutoencoderKL:
    """An autoencoder that an earlier stage or an earlier run saved, in float32."""
    return AutoencoderKL.from_pretrained(
        folder, torch_dtype=torch.float32, local_files_only=True
    ).eval()


def load_shipped(folder: Path) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """UNet and text encoder of an exported base, in float32."""
    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", torch_dtype=torch.float32, local_files_only=True
    )
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    return unet, text_encoder
