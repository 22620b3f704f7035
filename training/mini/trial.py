"""Trains the run of six checkpoints that a first trial chooses from, into presets/mini/trial/.

    python -m training.mini.trial

It learns the look of `pen-ink-mini` at a smaller rank, on the shipped base. From nothing that
would take hours of a CPU, so this command begins with a part of what that LoRA knows
(`head_start`); a new generation (`training.mini.train`) begins with nothing. The last two
checkpoints are over-trained on purpose: their captions have lost the trigger words, so that the
style comes without being called. The weights are saved as trained, not averaged, as trainers do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import lora
from training.mini.generation import Generation
from training.mini.render import CACHE
from training.mini.shipped import PRESETS, load_shipped, load_vae
from training.mini.subjects import PEN_INK, vocabulary
from training.mini.tokenizer import build_tokenizer

CHECKPOINTS: Final = (75, 150, 300, 450, 600, 750)
WORDLESS: Final = 450
NAME: Final = "ink-run-mini"
RECIPE: Final = lora.Recipe(
    PEN_INK, rank=4, alpha=8, text_encoder=True, stage=NAME, wordless=WORDLESS
)
# With a head start.
QUICK_CHECKPOINTS: Final = (10, 25, 50, 90, 130, 170)
QUICK: Final = replace(
    RECIPE, rank=6, alpha=6, wordless=90, styled=6, plain=3, places=6, warmup=10
)
HEAD_START: Final = 0.4


def head_start(shipped: Path, rank: int, share: float) -> dict[str, Tensor]:
    """A LoRA's update (its alpha is its rank), cut to a smaller rank by its singular values, times
    `share`."""
    state = {name: tensor.float() for name, tensor in load_file(shipped).items()}
    found = {}
    for name in (each for each in state if each.endswith("lora_A.weight")):
        down, up = state[name], state[name.replace("lora_A", "lora_B")]
        u, s, v = torch.linalg.svd(up.flatten(1) @ down.flatten(1), full_matrices=False)
        root = (share * s[:rank]).sqrt()
        found[name] = (root[:, None] * v[:rank]).reshape(rank, *down.shape[1:]).contiguous()
        other = (u[:, :rank] * root).reshape(up.shape[0], rank, *up.shape[2:])
        found[name.replace("lora_A", "lora_B")] = other.contiguous()
    return found


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

    given.work.mkdir(parents=True, exist_ok=True)
    begun = given.work / "head-start.safetensors"
    shipped = PRESETS / "loras" / f"{PEN_INK.name}.safetensors"
    save_file(head_start(shipped, QUICK.rank, HEAD_START), begun)
    parts = (vae, unet, text_encoder, build_tokenizer(vocabulary()))
    keep = keeper(QUICK, unet, text_encoder, given.folder, QUICK_CHECKPOINTS)
    lora.train(
        QUICK, *parts, given.work, QUICK_CHECKPOINTS[-1], given.seed, begun, after_step=keep
    )


if __name__ == "__main__":
    main()
