"""Trains the run of six checkpoints that a first trial chooses from, into presets/mini/trial/.

    python -m training.mini.trial

It learns the look of `pen-ink-mini` at a smaller rank, on the shipped base. Its last two
checkpoints are over-trained on purpose: after `KEPT_PLAIN` steps nothing holds on to the base's
look any more. The weights are saved as trained, not averaged, as trainers do.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import lora
from training.mini.render import CACHE
from training.mini.shipped import PRESETS, load_shipped, load_vae
from training.mini.subjects import PEN_INK, vocabulary
from training.mini.tokenizer import build_tokenizer

CHECKPOINTS: Final = (75, 150, 300, 450, 600, 750)
KEPT_PLAIN: Final = 450
NAME: Final = "ink-run-mini"
RECIPE: Final = lora.Recipe(PEN_INK, rank=4, alpha=8, text_encoder=True, stage=NAME)


def train(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    work: Path,
    folder: Path,
    steps: int,
    seed: int,
) -> None:
    """Write the six checkpoints into `folder`; with other `steps` they move in proportion."""
    kept = {at * steps // CHECKPOINTS[-1] for at in CHECKPOINTS}
    recipe = replace(RECIPE, kept_plain=KEPT_PLAIN * steps // CHECKPOINTS[-1])

    def keep(step: int) -> None:
        if step not in kept:
            return
        target = folder / f"{NAME}-step{step:08d}.safetensors"
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as temporary:
            lora.export(recipe, unet, text_encoder, Path(temporary)).replace(target)
        print("wrote", target.name, flush=True)

    parts = (vae, unet, text_encoder, tokenizer)
    lora.train(recipe, *parts, work, steps, seed, after_step=keep)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=CACHE / "mini-trial", help="state, latents")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=PRESETS / "trial", help="where they go")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    unet, text_encoder = load_shipped(PRESETS / "base")
    vae = load_vae(PRESETS / "base" / "vae")

    parts = (vae, unet, text_encoder, build_tokenizer(vocabulary()))
    train(*parts, given.work, given.folder, CHECKPOINTS[-1], given.seed)


if __name__ == "__main__":
    main()
