"""Trains the mini model and its LoRAs, and writes them to presets/mini/.

    python -m training.mini.train --work DIR                    everything, in order
    python -m training.mini.train --work DIR --stage base       one stage
    python -m training.mini.train --work DIR --minutes 8        a wall-clock limit for each stage

Every stage leaves a checkpoint in DIR; the same command carries on where it stopped. A stage that
is finished is loaded, not trained again. With `--minutes` the learning rate follows the clock and
the weights depend on the machine; without it the run is seeded step by step.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from training.mini import base, export, loop, lora, vae
from training.mini.subjects import vocabulary
from training.mini.tokenizer import build_tokenizer

PRESETS: Final = Path(__file__).resolve().parents[2] / "presets" / "mini"
STEPS: Final = {
    "vae": 3500,
    "base": 9000,
    "pen-ink": 1000,
    "night-neon": 1000,
    "polish": 1200,
}
STAGES: Final = (*STEPS, "export")


def load_vae(work: Path) -> AutoencoderKL:
    """The polished autoencoder where there is one, else the one of the first stage."""
    polished = work / "vae-polished"
    folder = polished if polished.exists() else work / "vae"
    return AutoencoderKL.from_pretrained(folder, local_files_only=True).eval()


def run_lora(
    name: str, tokenizer: CLIPTokenizer, work: Path, budget: loop.Budget, seed: int
) -> None:
    """Train one LoRA on the base's checkpoint and write its file."""
    recipe = lora.RECIPES[name]
    unet, text_encoder, _ = base.load_average(tokenizer, work / "base.pt")
    first_vae = AutoencoderKL.from_pretrained(work / "vae", local_files_only=True).eval()
    lora.train(recipe, first_vae, unet, text_encoder, tokenizer, work, budget, seed)
    print("wrote", lora.export(recipe, unet, text_encoder, work / "loras").name, flush=True)


def run_stage(stage: str, work: Path, budget: loop.Budget, seed: int, presets: Path) -> None:
    """Run one stage; what it makes lies in `work`, or, for "export", in `presets`."""
    tokenizer = build_tokenizer(vocabulary())
    if stage == "vae":
        vae.train(work, budget, seed).save_pretrained(work / "vae")
    elif stage == "polish":
        first = AutoencoderKL.from_pretrained(work / "vae", local_files_only=True)
        vae.polish(first, work, budget, seed).save_pretrained(work / "vae-polished")
    elif stage == "base":
        base.train(load_vae(work), tokenizer, work, budget, seed)
    elif stage in lora.RECIPES:
        run_lora(stage, tokenizer, work, budget, seed)
    elif stage == "export":
        unet, text_encoder, step = base.load_average(tokenizer, work / "base.pt")
        export.export_base(load_vae(work), unet, text_encoder, tokenizer, presets / "base")
        loras = export.copy_loras(work / "loras", presets / "loras")
        print(f"exported the base of step {step} and {', '.join(loras)}", flush=True)
    else:
        raise ValueError(f"no stage {stage!r}; there are {', '.join(STAGES)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and latents")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--steps", type=int, help="instead of the recipe's step count")
    parser.add_argument("--minutes", type=float, help="wall-clock limit of each stage")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where export writes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for stage in STAGES if arguments.stage == "all" else (arguments.stage,):
        steps = arguments.steps or STEPS.get(stage, 0)
        budget = loop.Budget(steps, arguments.minutes)
        run_stage(stage, arguments.work, budget, arguments.seed, arguments.presets)


if __name__ == "__main__":
    main()
