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

from training.mini import loop, team
from training.mini.render import SIZE, Pixels, draw_placement, render
from training.mini.subjects import BASE, NIGHT_NEON, PEN_INK, SUBJECTS, Pair, training_pairs

BATCH: Final = 6
LEARNING_RATE: Final = 1.5e-3
KL_WEIGHT: Final = 3e-4  # on the mean over latent values
HUE_WEIGHT: Final = 4.0
# Flat pictures vary most (nine grounds, many colours), so they get most of every batch.
STYLE_SHARES: Final = {BASE: 0.68, PEN_INK: 0.14, NIGHT_NEON: 0.18}
# In the polish stage latents are shaken by this share of their spread, as a denoiser's are.
POLISH_NOISE: Final = 0.08


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


class Pool:
    """Pictures drawn once and kept as bytes: drawing costs as much as a training step.

    About 4,000 pictures, 200 MB: every training pair and every subject in both LoRA styles, each
    in several places.
    """

    def __init__(self, seed: int) -> None:
        """Draw all pictures; about half a minute."""
        rng = Random(f"pool {seed}")
        pairs = training_pairs()
        some = tuple(Pair(subject.name, "white") for subject in SUBJECTS)
        wanted = {BASE: (pairs, 6), PEN_INK: (some, 16), NIGHT_NEON: (some, 20)}
        self.images = {
            style: np.stack(
                [np.asarray(render(p, style, draw_placement(rng))) for p in of for _ in range(n)]
            )
            for style, (of, n) in wanted.items()
        }

    def draw(self, rng: Random, count: int) -> Tensor:
        """(count, 3, 128, 128) in [-1, 1]: random pictures, styles by their shares."""
        styles = rng.choices(list(STYLE_SHARES), list(STYLE_SHARES.values()), k=count)
        chosen = [self.images[style][rng.randrange(len(self.images[style]))] for style in styles]
        return to_tensor(chosen)


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


def train(work: Path, budget: loop.Budget, seed: int) -> AutoencoderKL:
    """Train encoder and decoder together; the averaged weights."""
    torch.manual_seed(seed)
    vae = build()
    pool = Pool(seed)

    def step_loss(step: int) -> Tensor:
        number = team.draw_number(step)
        images = pool.draw(Random(f"vae {seed} {number}"), team.share(BATCH))
        noise_source = torch.Generator().manual_seed(seed * 1_000_003 + number)
        posterior = vae.encode(images).latent_dist
        made = vae.decode(posterior.sample(generator=noise_source)).sample
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss: Tensor = reconstruction_loss(made, images) + KL_WEIGHT * divergence
        return loss

    stage = loop.Stage("vae", {"vae": vae}, LEARNING_RATE, budget, work / "vae.pt")
    loop.run(stage, step_loss)
    vae.eval()
    standardise(vae, pool, seed)
    return vae


def polish(vae: AutoencoderKL, work: Path, budget: loop.Budget, seed: int) -> AutoencoderKL:
    """Train the decoder alone, after the base: the latents, so the denoiser too, stay the same."""
    pool = Pool(seed)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)

    def step_loss(step: int) -> Tensor:
        number = team.draw_number(step)
        images = pool.draw(Random(f"polish {seed} {number}"), team.share(BATCH))
        noise_source = torch.Generator().manual_seed(seed * 1_000_003 + number)
        with torch.no_grad():
            latents = vae.encode(images).latent_dist.mean
        shake = torch.randn(latents.shape, generator=noise_source) * POLISH_NOISE
        strength = torch.rand(len(latents), 1, 1, 1, generator=noise_source)
        made = vae.decode(latents + shake * strength / vae.config.scaling_factor).sample
        return reconstruction_loss(made, images)

    stage = loop.Stage("polish", {"vae": vae}, LEARNING_RATE / 2, budget, work / "polish.pt")
    loop.run(stage, step_loss)
    return vae.requires_grad_(True).eval()


@torch.no_grad()
def standardise(vae: AutoencoderKL, pool: Pool, seed: int) -> None:
    """Give every latent channel mean zero and deviation one, as the noise schedule expects.

    One scaling factor for all would leave faint channels (colour, mostly) drowned by noise at most
    times. The shift and scale fold into the 1x1 convolutions on both sides of the latents, so the
    reconstruction stays what it was and `scaling_factor` becomes one.
    """
    rng = Random(f"scale {seed}")
    latents = torch.cat([vae.encode(pool.draw(rng, 16)).latent_dist.mean for _ in range(24)])
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
