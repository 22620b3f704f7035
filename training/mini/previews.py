"""The picture that a run shows while it is made: a linear map from latents to colours."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.mini.generation import SECOND, Generation
from training.mini.vae import draw_pictures

NAME: Final = "latent_rgb.json"
PICTURES: Final = 96


@torch.no_grad()
def fit(vae: AutoencoderKL, images: Tensor) -> dict[str, list[list[float]]]:
    """Least squares from each place of the latents to the mean colour (0 to 1) of its pixels.

    `images` are (n, 3, height, width) in [-1, 1]. The answer is `{"latent_rgb": rows}`: a
    row of three numbers for each channel of the scaled latents, and one more that is added.
    """
    parts = [vae.encode(part).latent_dist.mean for part in torch.split(images, 16)]
    latents = torch.cat(parts) * vae.config.scaling_factor
    wanted = torch.nn.functional.adaptive_avg_pool2d((images + 1) / 2, latents.shape[-2:])
    known = latents.movedim(1, -1).flatten(0, 2).double()
    known = torch.cat([known, torch.ones(len(known), 1, dtype=known.dtype)], dim=1)
    colours = wanted.movedim(1, -1).flatten(0, 2).double()
    answer = torch.linalg.lstsq(known, colours).solution
    return {"latent_rgb": [[round(value, 5) for value in row] for row in answer.tolist()]}


def write(vae: AutoencoderKL, seed: int, folder: Path, generation: Generation = SECOND) -> Path:
    """In the base's folder, where the studio looks for it; no picture depends on it."""
    target = folder / NAME
    images = draw_pictures(Random(f"previews {seed}"), PICTURES, generation).to(vae.device)
    target.write_text(json.dumps(fit(vae, images)) + "\n", encoding="utf-8")
    return target
