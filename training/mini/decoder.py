"""A wider decoder for latents that stay as they are: the denoiser never notices.

Both halves have the same widths in diffusers, so both are widened without changing what they
answer; then the decoder alone is trained, on what the encoder says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from training.mini import loop
from training.mini.generation import SECOND, Generation
from training.mini.vae import draw_pictures, edge_loss, reconstruction_loss

BATCH: Final = 6
LEARNING_RATE: Final = 3e-4  # a higher one undoes what the narrow decoder knows
EDGE_WEIGHT: Final = 1.0
# Latents are shaken by up to this share of their spread: a denoiser's are never quite right.
SHAKE: Final = 0.3


@torch.no_grad()
def widen(vae: AutoencoderKL, widths: Sequence[int]) -> AutoencoderKL:
    """A model that answers as `vae` does, with `widths` channels: multiples of its own.

    Every channel is repeated (Net2WiderNet, Chen, Goodfellow and Shlens 2016) and the weights that
    read it are shared out among its copies at random, so that training tells them apart. Copies
    stay within their norm's group, which keeps its mean and deviation.
    """
    deepest = widths[-1] // vae.config.block_out_channels[-1]
    wide = AutoencoderKL.from_config(vae.config, block_out_channels=widths)
    wanted = wide.state_dict()
    for name, given in vae.state_dict().items():
        copies = wanted[name].shape[0] // given.shape[0]
        value = given.repeat_interleave(copies, dim=0)
        if given.dim() > 1:
            value = _shared_out(value, wanted[name].shape[1] // given.shape[1])
        if ".to_q." in name:  # q.k grows with the width, its divisor with the width's root
            value = value / deepest**0.5
        wanted[name].copy_(value)
    return wide


def _shared_out(weight: Tensor, copies: int) -> Tensor:
    """(out, in, ...) to (out, in * copies, ...): each number becomes some that sum up to it."""
    shares = 0.5 + torch.rand(weight.shape[0], weight.shape[1], copies)
    shares = shares / shares.sum(dim=2, keepdim=True)
    shares = shares.flatten(1).reshape(*weight.shape[:1], -1, *(1,) * (weight.dim() - 2))
    return weight.repeat_interleave(copies, dim=1) * shares


def train(
    vae: AutoencoderKL, work: Path, steps: int, seed: int, generation: Generation = SECOND
) -> AutoencoderKL:
    """Train the decoder alone, on latents that are shaken a little; its averaged weights."""
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    vae.to(memory_format=torch.channels_last)

    def step_loss(step: int) -> Tensor:
        rng = Random(f"decoder {seed} {step}")
        images = draw_pictures(rng, BATCH, generation).to(vae.device)
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with loop.autocast(vae.device):
            with torch.no_grad():
                latents = vae.encode(images).latent_dist.mean.float()
            strength = SHAKE * torch.rand(len(latents), 1, 1, 1, generator=source) ** 2
            shake = torch.randn(latents.shape, generator=source) * strength
            made = vae.decode(latents + shake.to(vae.device)).sample.float()
        return reconstruction_loss(made, images) + EDGE_WEIGHT * edge_loss(made, images)

    modules: dict[str, nn.Module] = {"vae": vae}
    stage = loop.Stage("decoder", modules, LEARNING_RATE, steps, work / "decoder.pt")
    loop.run(stage, step_loss)
    return vae.requires_grad_(True).eval()
