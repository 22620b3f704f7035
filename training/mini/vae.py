"""The autoencoder: 128x128 RGB to latents and back, trained on all three styles."""

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
from training.mini.generation import SECOND, Generation
from training.mini.render import SIZE, Pixels, grade, render
from training.mini.subjects import (
    BASE,
    NIGHT_NEON,
    PEN_INK,
    STYLES,
    Pair,
    Style,
    held_out,
    training_pairs,
)

BATCH: Final = 6
LEARNING_RATE: Final = 1.5e-3
HUE_WEIGHT: Final = 4.0
# Flat pictures vary most (nine grounds, many colours), so they get most of every batch.
STYLE_SHARES: Final = {BASE: 0.6, PEN_INK: 0.2, NIGHT_NEON: 0.2}
MEASURED_AT_ONCE: Final = 8
BATCHES_FOR_SCALE: Final = 24


def build(generation: Generation = SECOND) -> AutoencoderKL:
    """Stable Diffusion's autoencoder at small widths."""
    levels = len(generation.widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=generation.widths,
        layers_per_block=1,
        latent_channels=generation.latent_channels,
        # Each group is brought to mean zero and deviation one before the last layer, and with many
        # of them the colour of a plain ground, which is just that, has to be learnt around.
        norm_num_groups=1,
        sample_size=SIZE,
        scaling_factor=1.0,
        mid_block_add_attention=generation.attention,
    )


def to_tensor(images: Sequence[Image.Image] | Sequence[Pixels]) -> Tensor:
    """(n, 3, 128, 128) in [-1, 1]."""
    stacked = np.stack([np.asarray(image) for image in images]).astype(np.float32)
    return torch.from_numpy(stacked / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def draw_pictures(rng: Random, count: int, generation: Generation = SECOND) -> Tensor:
    """(count, 3, 128, 128) in [-1, 1]: random training pictures, styles by their shares.

    The generation's `graded_share` of the flat ones are by day or by night.
    """
    graded = generation.graded_share
    pairs = training_pairs()
    styles = rng.choices(list(STYLE_SHARES), list(STYLE_SHARES.values()), k=count)
    images = list[Image.Image]()
    for style in styles:
        image = render(rng.choice(pairs), style, rng.choice(generation.places))
        if style == BASE and graded and rng.random() < graded:
            image = grade(image, rng.uniform(-1, 1))
        images.append(image)
    return to_tensor(images)


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


def psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """(n,) decibels for pictures in [-1, 1], after clipping `made` to that range."""
    error = (made.clamp(-1, 1) - wanted).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error.clamp_min(1e-10))


@torch.no_grad()
def decibels(
    vae: AutoencoderKL, pairs: Sequence[Pair], generation: Generation = SECOND
) -> dict[str, float]:
    """Style to mean decibels of the pairs' drawings, through the autoencoder alone."""
    return {style.name: _decibels(vae, style, pairs, generation) for style in STYLES}


def _decibels(
    vae: AutoencoderKL, style: Style, pairs: Sequence[Pair], generation: Generation
) -> float:
    rng = Random(f"reconstruction {style.name}")
    drawn = to_tensor([render(pair, style, rng.choice(generation.places)) for pair in pairs])
    parts = [part.to(vae.device) for part in torch.split(drawn, MEASURED_AT_ONCE)]
    made = [vae.decode(vae.encode(part).latent_dist.mean).sample for part in parts]
    return round(float(psnr(torch.cat(made), torch.cat(parts)).mean()), 2)


def train(
    work: Path, steps: int, seed: int, device: str, generation: Generation = SECOND
) -> AutoencoderKL:
    """Train encoder and decoder together; the averaged weights."""
    torch.manual_seed(seed)
    vae = build(generation).to(device)

    def step_loss(step: int) -> Tensor:
        rng = Random(f"vae {seed} {step}")
        images = draw_pictures(rng, BATCH, generation).to(device)
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with loop.autocast(vae.device):
            posterior = vae.encode(images).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=source).to(device)
            made = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        drawn = reconstruction_loss(made, images)
        loss: Tensor = drawn + generation.kl_weight * divergence.float()
        if generation.edge_weight:
            loss = loss + generation.edge_weight * edge_loss(made, images)
        return loss

    loop.run(loop.Stage("vae", {"vae": vae}, LEARNING_RATE, steps, work / "vae.pt"), step_loss)
    vae.eval()
    standardise(vae, seed, generation)
    kept = sorted(held_out(), key=lambda pair: (pair.subject, pair.background))
    measured = decibels(vae, kept, generation)
    print("vae: decibels on held-out pairs", measured, flush=True)
    return vae


@torch.no_grad()
def standardise(vae: AutoencoderKL, seed: int, generation: Generation = SECOND) -> None:
    """Give every latent channel mean zero and deviation one, as the noise schedule expects.

    One scaling factor for all would leave faint channels (colour, mostly) drowned by noise at most
    times. The shift and scale fold into the 1x1 convolutions on both sides of the latents, so the
    reconstruction stays what it was and `scaling_factor` becomes one.
    """
    rng = Random(f"scale {seed}")
    batches = (draw_pictures(rng, 16, generation) for _ in range(BATCHES_FOR_SCALE))
    latents = torch.cat([vae.encode(each.to(vae.device)).latent_dist.mean for each in batches])
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
