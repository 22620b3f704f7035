"""Where the shipped files lie, and how an autoencoder is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL

PRESETS: Final = Path(__file__).resolve().parents[2] / "presets" / "mini"


def load_vae(folder: Path) -> AutoencoderKL:
    """An autoencoder that an earlier stage or an earlier run saved, in float32."""
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    vae.register_to_config(_name_or_path="")  # else every copy says where this one lay
    return vae.eval()
