"""Trains the run of six checkpoints that a first trial chooses from.

It learns the look of `pen-ink-mini` once more, at a smaller rank. The last two checkpoints are
over-trained on purpose: their captions have lost the trigger words, so that the style comes
without being called. The weights are saved as trained, not averaged, as trainers do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import lora
from training.mini.generation import Generation
from training.mini.subjects import PEN_INK

CHECKPOINTS: Final = (75, 150, 300, 450, 600, 750)
WORDLESS: Final = 450
NAME: Final = "ink-run-mini"
RECIPE: Final = lora.Recipe(
    PEN_INK, rank=4, alpha=8, text_encoder=True, stage=NAME, wordless=WORDLESS
)


def train(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    work: Path,
    folder: Path,
    steps: int,
    seed: int,
    generation: Generation,
) -> None:
    """Write the six checkpoints into `folder`, from nothing; with other `steps` they move in
    proportion."""
    kept = {at * steps // CHECKPOINTS[-1] for at in CHECKPOINTS}
    recipe = replace(RECIPE, wordless=WORDLESS * steps // CHECKPOINTS[-1])
    parts = (vae, unet, text_encoder, tokenizer)
    keep = keeper(recipe, unet, text_encoder, folder, kept)
    lora.train(recipe, *parts, work, steps, seed, after_step=keep, generation=generation)


def keeper(
    recipe: lora.Recipe,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    folder: Path,
    kept: Collection[int],
) -> Callable[[int], None]:
    """Writes the LoRA as it stands after each of the steps `kept`."""

    def keep(step: int) -> None:
        if step not in kept:
            return
        target = folder / f"{NAME}-step{step:08d}.safetensors"
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as temporary:
            lora.export(recipe, unet, text_encoder, Path(temporary)).replace(target)
        print("wrote", target.name, flush=True)

    return keep
