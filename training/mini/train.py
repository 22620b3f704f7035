"""Trains the mini model and its LoRAs, and writes them to presets/mini/.

    python -m training.mini.train                                 everything, in order
    python -m training.mini.train --stage base                    one stage
    python -m training.mini.train --stage decoder --onward        on from the shipped weights
    python -m training.mini.train --generation 2                  what comes after the shipped ones

Every stage leaves a checkpoint in the work folder, and the same command carries on where it
stopped. Every step draws its batch from its number, so that a run on one kind of device gives the
same weights however often it is stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import base, decoder, export, lora, previews, slider, trial, vae
from training.mini.generation import EXPORT, GENERATIONS, SHIPPED, Generation
from training.mini.render import CACHE
from training.mini.shipped import PRESETS, load_shipped, load_vae
from training.mini.subjects import vocabulary
from training.mini.tokenizer import build_tokenizer

DECODED: Final = "vae-decoder"  # the folder of the autoencoder whose decoder was trained on


@dataclass(frozen=True, slots=True)
class Job:
    """One stage as the command line asks for it.

    Attributes:
        onward: from the shipped weights, not from nothing; the text encoder stays as it is.
    """

    stage: str
    work: Path
    presets: Path
    steps: int
    seed: int
    device: str
    onward: bool
    generation: Generation = GENERATIONS[SHIPPED]

    def run(self) -> None:
        """What it makes lies in `work`, or, for "export", in `presets`."""
        tokenizer = build_tokenizer(vocabulary())
        torch.manual_seed(self.seed)
        if self.stage == "vae":
            self.train_vae()
        elif self.stage == "decoder":
            self.train_decoder()
        elif self.stage == "base":
            self.train_base(tokenizer)
        elif self.stage in lora.RECIPES:
            self.train_lora(tokenizer)
        elif self.stage == "day-night":
            self.train_slider(tokenizer)
        elif self.stage == "trial":
            parts = (self.encoder(), *self.trained(tokenizer), tokenizer)
            trial.train(
                *parts, self.work, self.work / "trial", self.steps, self.seed, self.generation
            )
        elif self.stage == EXPORT:
            self.export(tokenizer)
        else:
            raise ValueError(f"no stage {self.stage!r}")

    def train_vae(self) -> None:
        """The whole autoencoder."""
        trained = vae.train(self.work, self.steps, self.seed, self.device, self.generation)
        trained.save_pretrained(self.work / "vae")

    def train_decoder(self) -> None:
        """A wider decoder for the latents that there are."""
        narrow = self.shipped_vae() if self.onward else load_vae(self.work / "vae")
        wide = decoder.widen(narrow, self.generation.decoder_widths).to(self.device)
        trained = decoder.train(wide, self.work, self.steps, self.seed, self.generation)
        trained.save_pretrained(self.work / DECODED)

    def train_base(self, tokenizer: CLIPTokenizer) -> None:
        """UNet and text encoder; onward, the UNet alone."""
        if self.onward:
            unet, text_encoder = load_shipped(self.presets / "base")
        else:
            unet = base.build_unet(self.generation)
            text_encoder = base.build_text_encoder(tokenizer)
        parts = (self.encoder(), tokenizer, unet.to(self.device), text_encoder.to(self.device))
        base.train(*parts, self.work, self.steps, self.seed, self.onward, self.generation)

    def train_lora(self, tokenizer: CLIPTokenizer) -> None:
        """Train one LoRA and write its file: a new one on the base's checkpoint, or, onward, the
        shipped one on the shipped base."""
        recipe = lora.RECIPES[self.stage]
        begun = None
        if self.onward:
            begun = self.presets / "loras" / f"{recipe.style.name}.safetensors"
            unet, text_encoder = load_shipped(self.presets / "base")
        else:
            unet, text_encoder = self.trained(tokenizer)
        parts = (self.encoder(), unet.to(self.device), text_encoder.to(self.device), tokenizer)
        where = (self.work, self.steps, self.seed, begun)
        lora.train(recipe, *parts, *where, generation=self.generation)
        print("wrote", lora.export(recipe, unet, text_encoder, self.work / "loras").name)

    def train_slider(self, tokenizer: CLIPTokenizer) -> None:
        """The LoRA that works both ways, on the base's checkpoint."""
        unet, text_encoder = self.trained(tokenizer)
        parts = (self.encoder(), unet, text_encoder, tokenizer)
        slider.train(*parts, self.work, self.steps, self.seed, self.generation)
        print("wrote", lora.export(slider.RECIPE, unet, text_encoder, self.work / "loras").name)

    def trained(self, tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """The base of the earlier stage, on the device."""
        checkpoint = self.work / "base.pt"
        unet, text_encoder, _ = base.load_average(tokenizer, checkpoint, self.generation)
        return unet.to(self.device), text_encoder.to(self.device)

    def encoder(self) -> AutoencoderKL:
        """The autoencoder whose latents the base learns."""
        found = self.shipped_vae() if self.onward else load_vae(self.work / "vae")
        return found.to(self.device)

    def shipped_vae(self) -> AutoencoderKL:
        return load_vae(self.presets / "base" / "vae")

    def export(self, tokenizer: CLIPTokenizer) -> None:
        """Write base and LoRAs; onward, whatever of them was trained, over what is shipped."""
        made = {
            "base": (self.work / "base.pt").exists(),
            "decoder": (self.work / DECODED).exists(),
        }
        if not self.onward and not all(made.values()):
            missing = " and ".join(name for name, there in made.items() if not there)
            raise FileNotFoundError(f"{missing}: not trained yet in {self.work}")
        if made["base"]:
            unet, text_encoder = self.trained(tokenizer)
        else:
            unet, text_encoder = load_shipped(self.presets / "base")
        decoded = load_vae(self.work / DECODED) if made["decoder"] else self.shipped_vae()
        folder = self.presets / "base"
        export.export_base(decoded, unet.cpu(), text_encoder.cpu(), tokenizer, folder)
        previews.write(load_vae(folder / "vae"), self.seed, folder, self.generation)
        loras = export.copy_files(self.work / "loras", self.presets / "loras")
        loras += export.copy_files(self.work / "trial", self.presets / "trial")
        parts = [name for name, there in made.items() if there]
        print("exported", ", ".join([*parts, *loras]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generation", type=int, choices=GENERATIONS, default=SHIPPED)
    parser.add_argument("--work", type=Path, help="for checkpoints and latents")
    stages = {stage for each in GENERATIONS.values() for stage in each.steps}
    parser.add_argument("--stage", choices=(*sorted(stages), EXPORT, "all"), default="all")
    parser.add_argument("--steps", type=int, help="instead of the recipe's step count")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU")
    parser.add_argument("--onward", action="store_true", help="on from the shipped weights")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where export writes")
    given = parser.parse_args()
    if given.onward and given.generation != SHIPPED:
        parser.error(f"--onward goes on from what is shipped: generation {SHIPPED}")
    torch.set_num_threads(given.threads)
    generation = GENERATIONS[given.generation]
    work = given.work or CACHE / f"mini-{given.generation}"
    for stage in (*generation.steps, EXPORT) if given.stage == "all" else (given.stage,):
        steps = given.steps or generation.steps.get(stage, 0)
        common = (given.seed, given.device, given.onward, generation)
        Job(stage, work, given.presets, steps, *common).run()


if __name__ == "__main__":
    main()
