"""The third LoRA: a slider from day (-1) to night (1), without trigger words.

One file works both ways: with strength -s it must answer for the day what it answers for the night
with s. So it is trained at both strengths in every step, on the same drawings, graded
(`render.grade`) as far as the strength says.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import base, loop, lora
from training.mini.generation import Generation
from training.mini.render import grade
from training.mini.subjects import BASE, DAY_NIGHT, draw_caption, training_pairs
from training.mini.tokenizer import token_ids

RECIPE: Final = lora.Recipe(DAY_NIGHT, rank=8, alpha=8, text_encoder=False)
AMOUNTS: Final = (0.5, 1.0)  # what is between and beyond them follows
PICTURES: Final = 10  # at each of the two strengths of a step
PLACEMENTS: Final = 4
LEARNING_RATE: Final = 1e-3


def set_strength(unet: nn.Module, strength: float) -> None:
    """How strongly, and which way, the adapter works."""
    for layer in unet.modules():
        if isinstance(layer, LoraLayer):
            layer.set_scale("default", strength)


def graded_latents(
    vae: AutoencoderKL, work: Path, seed: int, generation: Generation
) -> dict[float, base.Latents]:
    """Strength to latents of every pair as it looks there; kept in `work`."""
    found = dict[float, base.Latents]()
    for amount in (sign * size for size in AMOUNTS for sign in (-1, 1)):
        path = work / f"latents-{DAY_NIGHT.name}{amount:+g}.pt"
        finish = partial(grade, night=amount)
        found[amount] = base.encode_latents(
            vae, BASE, training_pairs(), PLACEMENTS, path, seed, generation, finish
        )
    return found


def train(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    work: Path,
    steps: int,
    seed: int,
    generation: Generation,
) -> None:
    """Add the slider to the trained `unet` and train it, nothing else; it ends at strength 1."""
    torch.manual_seed(seed)
    unet.requires_grad_(False)
    text_encoder.requires_grad_(False)
    lora.add(RECIPE, unet, text_encoder)
    loop.quicken(unet)
    scheduler = base.build_scheduler()
    latents = graded_latents(vae, work, seed, generation)

    def step_loss(step: int) -> Tensor:
        rng = Random(f"{DAY_NIGHT.name} {seed} {step}")
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        size = rng.choice(AMOUNTS)
        losses = list[Tensor]()
        for strength in (-size, size):
            drawn = [latents[strength].draw(rng) for _ in range(PICTURES)]
            captions = [
                "" if rng.random() < base.EMPTY_SHARE else draw_caption(pair, rng)
                for pair, _ in drawn
            ]
            clean = torch.stack([latent for _, latent in drawn])
            noised = base.add_noise(clean, scheduler, source).to(unet.device)
            ids = token_ids(tokenizer, captions).to(unet.device)
            set_strength(unet, strength)
            with loop.autocast(unet.device):
                states = text_encoder(ids)[0]
                answer = unet(noised.latents, noised.timesteps, states, return_dict=False)[0]
            losses.append(nn.functional.mse_loss(answer.float(), noised.velocity))
        return torch.stack(losses).sum()

    loop.run(
        loop.Stage(
            DAY_NIGHT.name,
            {"unet": unet},
            LEARNING_RATE,
            steps,
            work / f"{DAY_NIGHT.name}.pt",
            ema_decay=0.99,
            weight_decay=0.0,
        ),
        step_loss,
    )
    set_strength(unet, 1.0)
