"""Trains the run of six checkpoints that a first trial chooses from, into presets/mini/trial/.

    python -m training.mini.trial

It learns the look of `pen-ink-mini` at a smaller rank, on the shipped base. Its last two
checkpoints are over-trained on purpose: after `KEPT_PLAIN` steps nothing holds on to the base's
look any more. The weights are saved as trained, not averaged, as trainers do.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch

from training.mini import lora
from training.mini.render import CACHE
from training.mini.subjects import PEN_INK, vocabulary
from training.mini.tokenizer import build_tokenizer
from training.mini.train import PRESETS, load_shipped, load_vae

CHECKPOINTS: Final = (75, 150, 300, 450, 600, 750)
KEPT_PLAIN: Final = 450
RECIPE: Final = lora.Recipe(PEN_INK, rank=4, alpha=8, text_encoder=True, kept_plain=KEPT_PLAIN)
NAME: Final = "ink-run-mini"


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

    def keep(step: int) -> None:
        if step not in CHECKPOINTS:
            return
        target = given.folder / f"{NAME}-step{step:08d}.safetensors"
        given.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=given.folder) as folder:
            lora.export(RECIPE, unet, text_encoder, Path(folder)).replace(target)
        print("wrote", target.name, flush=True)

    tokenizer = build_tokenizer(vocabulary())
    lora.train(
        *(RECIPE, vae, unet, text_encoder, tokenizer),
        *(given.work, CHECKPOINTS[-1], given.seed),
        after_step=keep,
    )


if __name__ == "__main__":
    main()
