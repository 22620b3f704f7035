"""Compares autoencoders for Mini's second generation: decibels on icons kept out of the training.

    python -m training.mini.vae_trial --work DIR --channels 16 --steps 20000
    python -m training.mini.vae_trial --work DIR --measure presets/mini/base/vae

Unlike the shipped recipe it trains on every drawing of both sets, not on Mini's subjects only, and
its loss has an edge term. The same command carries on from the checkpoint in DIR.
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import resvg_py
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from training.mini import loop
from training.mini.render import CACHE, INK, PAPER, SIZE, Pixels, fetch
from training.mini.subjects import BACKGROUNDS
from training.mini.vae import edge_loss, reconstruction_loss, to_tensor

BATCH: Final = 6
LEARNING_RATE: Final = 1.5e-3
KL_WEIGHT: Final = 1e-4
EDGE_WEIGHT: Final = 1.0
HELD_OUT_SHARE: Final = 20  # one icon in so many
INK_SHARE: Final = 0.3
# Variants of one drawing, which would put near-copies of a held-out icon into the training.
_SKIN_TONES: Final = ("-light", "-medium", "-dark")


def build(channels: int, widths: tuple[int, ...]) -> AutoencoderKL:
    """Stable Diffusion's autoencoder; each width after the first halves the picture once."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=SIZE,
        scaling_factor=1.0,
    )


def psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """(n,) decibels for pictures in [-1, 1], after clipping `made` to that range."""
    error = (made.clamp(-1, 1) - wanted).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error.clamp_min(1e-10))


def held_out(icon: str) -> bool:
    """Whether an icon is kept for measuring; depends on its name only."""
    return zlib.crc32(icon.encode()) % HELD_OUT_SHARE == 0


def draw(body: str, ground: tuple[int, int, int], side: int, dx: int, dy: int) -> Pixels:
    """(128, 128, 3): an icon's SVG body on a plain ground, `side` pixels wide."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="{2 * side}" '
        f'height="{2 * side}">{body.replace("currentColor", INK)}</svg>'
    )
    large = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    glyph = large.resize((side, side), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (SIZE, SIZE), ground)
    corner = (SIZE - side) // 2
    canvas.paste(glyph, (corner + dx, corner + dy), glyph)
    return np.asarray(canvas)


def pictures(kind: str, testing: bool, limit: int, folder: Path) -> Pixels:
    """(n, 128, 128, 3): at most `limit` icons of one set, the held-out ones or all others."""
    icons = json.loads(fetch(kind, folder).read_text(encoding="utf-8"))["icons"]
    names = sorted(n for n in icons if not any(tone in n for tone in _SKIN_TONES))
    chosen = [n for n in names if held_out(n) == testing]
    rng = Random(f"pictures {kind} {testing}")
    rng.shuffle(chosen)
    grounds = list(BACKGROUNDS.values()) if kind == "flat" else [PAPER]
    made = []
    for name in chosen[:limit]:
        place = (rng.choice((96, 100, 104, 108)), rng.randint(-5, 5), rng.randint(-5, 5))
        made.append(draw(icons[name]["body"], rng.choice(grounds), *place))
    return np.stack(made)


@torch.no_grad()
def measure(vae: AutoencoderKL, folder: Path) -> dict[str, float]:
    """Mean decibels on held-out icons by set, from the mean of the latents."""
    result = {}
    for kind in ("flat", "high-contrast"):
        wanted = to_tensor(list(pictures(kind, True, 48, folder)))
        batches = torch.split(wanted, 8)
        made = [vae.decode(vae.encode(part).latent_dist.mean).sample for part in batches]
        result[kind] = round(float(psnr(torch.cat(made), wanted).mean()), 2)
    return result


def train(vae: AutoencoderKL, work: Path, steps: int, folder: Path, seed: int) -> None:
    """Train to `steps`, on from the checkpoint where there is one; leaves averaged weights."""
    flat = pictures("flat", False, 100_000, folder)
    ink = pictures("high-contrast", False, 100_000, folder)

    def step_loss(step: int) -> Tensor:
        rng = Random(f"trial {seed} {step}")
        pools = [ink if rng.random() < INK_SHARE else flat for _ in range(BATCH)]
        images = to_tensor([pool[rng.randrange(len(pool))] for pool in pools])
        posterior = vae.encode(images).latent_dist
        noise = torch.Generator().manual_seed(seed * 1_000_003 + step)
        made = vae.decode(posterior.sample(generator=noise)).sample
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        pixels = reconstruction_loss(made, images) + EDGE_WEIGHT * edge_loss(made, images)
        loss: Tensor = pixels + KL_WEIGHT * divergence
        return loss

    stage = loop.Stage("trial", {"vae": vae}, LEARNING_RATE, steps, work / "vae.pt")
    stage.log_every, stage.save_seconds = 20, 20.0
    loop.run(stage, step_loss)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and measurement")
    parser.add_argument("--measure", type=Path, help="a saved autoencoder, instead of training")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="+", default=(16, 32, 64, 64))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the drawings are kept")
    given = parser.parse_args()
    if given.measure:
        vae = AutoencoderKL.from_pretrained(
            given.measure, torch_dtype=torch.float32, local_files_only=True
        )
    else:
        torch.manual_seed(given.seed)
        vae = build(given.channels, tuple(given.widths))
        train(vae, given.work, given.steps, given.cache, given.seed)
        vae.save_pretrained(given.work / "vae")
    print(json.dumps(measure(vae.eval(), given.cache)), flush=True)


if __name__ == "__main__":
    main()
