"""The base: text encoder and UNet trained together on latents of the flat pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.mini import loop
from training.mini.generation import SECOND, Generation
from training.mini.render import SIZE, render
from training.mini.subjects import (
    BASE,
    DISTRACTORS,
    NIGHT_NEON,
    PEN_INK,
    Pair,
    Style,
    append_words,
    draw_caption,
    training_pairs,
)
from training.mini.tokenizer import MAX_LENGTH, token_ids
from training.mini.vae import to_tensor

BATCH: Final = 16
LEARNING_RATE: Final = 1.2e-3
PLACEMENTS: Final = 20
EMPTY_SHARE: Final = 0.1
DISTRACTED_SHARE: Final = 0.12
# A uniform draw is raised to this: a quarter of the times are above 850, a third below 500.
TOWARDS_NOISE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Latents:
    """Scaled latents of training pictures: `values[i]` is (places, c, h, w) of `pairs[i]`."""

    pairs: tuple[Pair, ...]
    values: Tensor

    def draw(self, rng: Random) -> tuple[Pair, Tensor]:
        """A random pair and one of its latents, (c, h, w)."""
        index = rng.randrange(len(self.pairs))
        return self.pairs[index], self.values[index, rng.randrange(self.values.shape[1])]


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text model, 128 wide, three layers of four heads, 77 positions."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            projection_dim=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(generation: Generation = SECOND) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's block types, one layer each.

    The caption also goes, pooled, to every layer beside the time, and both scale and shift. With
    cross-attention at the coarsest level alone, 1,900 steps taught the ground and no subject; with
    this, 450 steps taught the colours of every subject.
    """
    shape = generation.unet
    down = ["CrossAttnDownBlock2D" if reads else "DownBlock2D" for reads in shape.captioned]
    up = ["CrossAttnUpBlock2D" if reads else "UpBlock2D" for reads in reversed(shape.captioned)]
    return UNet2DConditionModel(
        sample_size=SIZE // 2 ** (len(generation.widths) - 1),
        in_channels=generation.latent_channels,
        out_channels=generation.latent_channels,
        block_out_channels=shape.widths,
        layers_per_block=1,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        cross_attention_dim=128,
        attention_head_dim=shape.heads,
        norm_num_groups=4,  # see `vae.build`
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal SNR, so that plain grounds get their exact colour."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,  # without effect on trailing spacing; the pipeline warns at 0
    )


@torch.no_grad()
def encode_latents(
    vae: AutoencoderKL,
    style: Style,
    pairs: Sequence[Pair],
    places: int,
    path: Path,
    seed: int,
    generation: Generation = SECOND,
    finish: Callable[[Image.Image], Image.Image] = lambda image: image,
) -> Latents:
    """Latents of every pair in `places` of the generation's places, or in all of them where there
    are fewer; kept in `path` for later stages.

    `finish` is the last hand on each picture.
    """
    if not path.exists():
        rng = Random(f"latents {style.name} {seed}")
        rows = list[Tensor]()
        for pair in pairs:
            drawn = [render(pair, style, at) for at in generation.some_places(rng, places)]
            images = to_tensor([finish(image) for image in drawn])
            mean = vae.encode(images.to(vae.device)).latent_dist.mean
            rows.append(mean.cpu() * vae.config.scaling_factor)
        loop.save_atomically(torch.stack(rows), path)
    values = torch.load(path, weights_only=True)
    wanted = (len(pairs), min(places, len(generation.places)))
    if values.shape[:2] != wanted:
        raise ValueError(f"{path} holds {tuple(values.shape[:2])}, wanted {wanted}")
    return Latents(tuple(pairs), values)


def draw_distractor(rng: Random) -> str:
    """Words that must not change the picture: half of the time a LoRA's trigger words."""
    if rng.random() < 0.5:
        return rng.choice((PEN_INK.trigger, NIGHT_NEON.trigger))
    if rng.random() < 0.3:
        return "".join(rng.choices(ascii_lowercase, k=rng.randint(3, 9)))
    return rng.choice(DISTRACTORS)


def draw_base_caption(pair: Pair, rng: Random) -> str:
    """A caption, sometimes empty (for guidance), sometimes with words that say nothing."""
    if rng.random() < EMPTY_SHARE:
        return ""
    caption = draw_caption(pair, rng)
    if rng.random() < DISTRACTED_SHARE:
        return append_words(caption, draw_distractor(rng), rng, in_front=0.2)
    return caption


def draw_timesteps(count: int, source: torch.Generator) -> Tensor:
    """(count,) int64 in 0..999, one from each of `count` equally likely parts.

    More of them where there is much noise, since the shape is decided there.
    """
    parts = torch.randperm(count, generator=source)
    places = (parts + torch.rand(count, generator=source)) / count
    return (places**TOWARDS_NOISE * 1000).long().clamp(max=999)


@dataclass(frozen=True, slots=True)
class Noised:
    """Latents with noise, what the UNet should answer, and the time they stand at."""

    latents: Tensor  # (n, c, h, w)
    velocity: Tensor  # (n, c, h, w)
    timesteps: Tensor  # (n,)

    def to(self, device: torch.device) -> Noised:
        """The same on a device."""
        return Noised(self.latents.to(device), self.velocity.to(device), self.timesteps.to(device))


def add_noise(clean: Tensor, scheduler: DDIMScheduler, source: torch.Generator) -> Noised:
    """Noise a batch of scaled latents at random times."""
    noise = torch.randn(clean.shape, generator=source)
    timesteps = draw_timesteps(len(clean), source)
    return Noised(
        scheduler.add_noise(clean, noise, timesteps),
        scheduler.get_velocity(clean, noise, timesteps),
        timesteps,
    )


def train(
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    work: Path,
    steps: int,
    seed: int,
    generation: Generation = SECOND,
) -> None:
    """Train UNet and text encoder to their averaged weights."""
    loop.quicken(unet)
    scheduler = build_scheduler()
    kept = work / "latents-flat.pt"
    flat = encode_latents(vae, BASE, training_pairs(), PLACEMENTS, kept, seed, generation)

    def step_loss(step: int) -> Tensor:
        rng = Random(f"base {seed} {step}")
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        drawn = [flat.draw(rng) for _ in range(BATCH)]
        captions = [draw_base_caption(pair, rng) for pair, _ in drawn]
        clean = torch.stack([latent for _, latent in drawn])
        noised = add_noise(clean, scheduler, source).to(unet.device)
        ids = token_ids(tokenizer, captions).to(unet.device)
        with loop.autocast(unet.device):
            states = text_encoder(ids)[0]
            answer = unet(noised.latents, noised.timesteps, states, return_dict=False)[0]
        return nn.functional.mse_loss(answer.float(), noised.velocity)

    modules: dict[str, nn.Module] = {"unet": unet, "text_encoder": text_encoder}
    loop.run(loop.Stage("base", modules, LEARNING_RATE, steps, work / "base.pt"), step_loss)
    unet.eval()
    text_encoder.eval()


def load_average(
    tokenizer: CLIPTokenizer, checkpoint: Path, generation: Generation = SECOND
) -> tuple[UNet2DConditionModel, CLIPTextModel, int]:
    """The averaged base of a checkpoint, finished or not, and the step it was saved at."""
    unet, text_encoder = build_unet(generation), build_text_encoder(tokenizer)
    step = loop.adopt_average(checkpoint, {"unet": unet, "text_encoder": text_encoder})
    return unet.eval(), text_encoder.eval(), step
