"""The autoencoder: 128x128 RGB to 4x16x16 latents and back, trained on all three styles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from training.mini import loop
from training.mini.render import SIZE, Pixels, draw_placement, render
from training.mini.subjects import BASE, NIGHT_NEON, PEN_INK, training_pairs

BATCH: Final = 6
LEARNING_RATE: Final = 1.5e-3
KL_WEIGHT: Final = 3e-4  # on the mean over latent values
HUE_WEIGHT: Final = 4.0
# Flat pictures vary most (nine grounds, many colours), so they get most of every batch.
STYLE_SHARES: Final = {BASE: 0.6, PEN_INK: 0.2, NIGHT_NEON: 0.2}


def build() -> AutoencoderKL:
    """Stable Diffusion's autoencoder at small widths: eight-fold, 0.98 M weights."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
        scaling_factor=1.0,
    )


def to_tensor(images: Sequence[Image.Image] | Sequence[Pixels]) -> Tensor:
    """(n, 3, 128, 128) in [-1, 1]."""
    stacked = np.stack([np.asarray(image) for image in images]).astype(np.float32)
    return torch.from_numpy(stacked / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def draw_pictures(rng: Random, count: int) -> Tensor:
    """(count, 3, 128, 128) in [-1, 1]: random training pictures, styles by their shares."""
    pairs = training_pairs()
    styles = rng.choices(list(STYLE_SHARES), list(STYLE_SHARES.values()), k=count)
    return to_tensor([render(rng.choice(pairs), style, draw_placement(rng)) for style in styles])


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 for crisp edges, MSE for large errors, and once more for what is wrong in hue.

    Without the last term the brightness of a part is learnt long before its colour.
    """
    difference = made - wanted
    hue = difference - difference.mean(dim=1, keepdim=True)
    loss: Tensor = (
        difference.abs().mean() + difference.square().mean() + HUE_WEIGHT * hue.square().mean()
    )
    return loss


def edge_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error of the steps between neighbouring pixels, (n, c, h, w) each."""
    difference = made - wanted
    across = difference.diff(dim=-1).abs().mean()
    down = difference.diff(dim=-2).abs().mean()
    return across + down


def train(work: Path, steps: int, seed: int, device: str) -> AutoencoderKL:
    """Train encoder and decoder together; the averaged weights."""
    torch.manual_seed(seed)
    vae = build().to(device)

    def step_loss(step: int) -> Tensor:
        images = draw_pictures(Random(f"vae {seed} {step}"), BATCH).to(device)
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        posterior = vae.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=source).to(device)
        made = vae.decode(posterior.mean + posterior.std * noise).sample
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss: Tensor = reconstruction_loss(made, images) + KL_WEIGHT * divergence
        return loss

    loop.run(loop.Stage("vae", {"vae": vae}, LEARNING_RATE, steps, work / "vae.pt"), step_loss)
    vae.eval()
    standardise(vae, seed)
    return vae


@torch.no_grad()
def standardise(vae: AutoencoderKL, seed: int) -> None:
    """Give every latent channel mean zero and deviation one, as the noise schedule expects.

    One scaling factor for all would leave faint channels (colour, mostly) drowned by noise at most
    times. The shift and scale fold into the 1x1 convolutions on both sides of the latents, so the
    reconstruction stays what it was and `scaling_factor` becomes one.
    """
    rng = Random(f"scale {seed}")
    batches = (draw_pictures(rng, 16).to(vae.device) for _ in range(24))
    latents = torch.cat([vae.encode(images).latent_dist.mean for images in batches])
    mean, spread = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    into, out_of = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    # The encoder's last layer gives means, then log-variances.
    out_of.bias.add_(out_of.weight[:, :, 0, 0] @ mean)
    out_of.weight.mul_(spread[None, :, None, None])
    into.weight[:channels].div_(spread[:, None, None, None])
    into.bias[:channels] = (into.bias[:channels] - mean) / spread
    into.bias[channels:] -= 2 * spread.log()
    vae.register_to_config(scaling_factor=1.0)
