"""Trains the mini model and its LoRAs, and writes them to presets/mini/.

    python -m training.mini.train --work DIR                    everything, in order
    python -m training.mini.train --work DIR --stage base       one stage
    python -m training.mini.train --work DIR --minutes 8        a wall-clock limit for each stage
    python -m training.mini.train --work DIR --stage pen-ink --onward    from the shipped weights

Every stage leaves a checkpoint in DIR; the same command carries on where it stopped. A stage that
is finished is loaded, not trained again. With `--minutes` the learning rate follows the clock and
the weights depend on the machine; without it the run is seeded step by step.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import base, export, loop, lora, team, vae
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
POLISHED: Final = "vae-polished"


@dataclass(frozen=True, slots=True)
class Job:
    """One stage as the command line asks for it; the processes of a team get a copy each."""

    stage: str
    work: Path
    presets: Path
    budget: loop.Budget
    seed: int
    threads: int
    onward: bool

    def __call__(self) -> None:
        """Run the stage; what it makes lies in `work`, or, for "export", in `presets`."""
        torch.set_num_threads(self.threads)
        tokenizer = build_tokenizer(vocabulary())
        if self.stage == "vae":
            save(vae.train(self.work, self.budget, self.seed), self.work / "vae")
        elif self.stage == "polish":
            first = load_vae(self.work / "vae")
            save(vae.polish(first, self.work, self.budget, self.seed), self.work / POLISHED)
        elif self.stage == "base":
            base.train(load_vae(self.work / "vae"), tokenizer, self.work, self.budget, self.seed)
        elif self.stage in lora.RECIPES:
            self.train_lora(tokenizer)
        elif self.stage == "export":
            self.export(tokenizer)
        else:
            raise ValueError(f"no stage {self.stage!r}; there are {', '.join(STAGES)}")
        team.meet()

    def train_lora(self, tokenizer: CLIPTokenizer) -> None:
        """Train one LoRA and write its file: a new one on the base's checkpoint, or, onward, the
        shipped one on the shipped base."""
        recipe = lora.RECIPES[self.stage]
        begun = None
        if self.onward:
            begun = self.presets / "loras" / f"{recipe.style.name}.safetensors"
            decoder, unet, text_encoder = load_shipped(self.presets / "base")
        else:
            decoder = load_vae(self.work / "vae")
            unet, text_encoder, _ = base.load_average(tokenizer, self.work / "base.pt")
        parts = (decoder, unet, text_encoder, tokenizer)
        lora.train(recipe, *parts, self.work, self.budget, self.seed, begun)
        if team.is_first():
            print("wrote", lora.export(recipe, unet, text_encoder, self.work / "loras").name)

    def export(self, tokenizer: CLIPTokenizer) -> None:
        """Write base and LoRAs; the polished decoder where there is one."""
        unet, text_encoder, step = base.load_average(tokenizer, self.work / "base.pt")
        polished = self.work / POLISHED
        decoder = load_vae(polished if polished.exists() else self.work / "vae")
        export.export_base(decoder, unet, text_encoder, tokenizer, self.presets / "base")
        loras = export.copy_loras(self.work / "loras", self.presets / "loras")
        print(f"exported the base of step {step} and {', '.join(loras)}", flush=True)


def load_vae(folder: Path) -> AutoencoderKL:
    """The autoencoder an earlier stage saved."""
    return AutoencoderKL.from_pretrained(folder, local_files_only=True).eval()


def load_shipped(folder: Path) -> tuple[AutoencoderKL, UNet2DConditionModel, CLIPTextModel]:
    """Autoencoder, UNet and text encoder of an exported base, in float32."""
    given = {"torch_dtype": torch.float32, "local_files_only": True}
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **given)
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    decoder = AutoencoderKL.from_pretrained(folder / "vae", **given)
    return decoder.eval(), unet, text_encoder


def save(model: AutoencoderKL, folder: Path) -> None:
    """Save an autoencoder for the later stages, once for the whole team."""
    if team.is_first():
        model.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and latents")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--steps", type=int, help="instead of the recipe's step count")
    parser.add_argument("--minutes", type=float, help="wall-clock limit of each stage")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2, help="each takes a part of a batch")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--onward", action="store_true", help="a LoRA: from the shipped weights")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where export writes")
    arguments = parser.parse_args()
    for stage in STAGES if arguments.stage == "all" else (arguments.stage,):
        job = Job(
            stage=stage,
            work=arguments.work,
            presets=arguments.presets,
            budget=loop.Budget(arguments.steps or STEPS.get(stage, 0), arguments.minutes),
            seed=arguments.seed,
            threads=arguments.threads,
            onward=arguments.onward,
        )
        team.run_team(1 if stage == "export" else arguments.processes, job)


if __name__ == "__main__":
    main()
