"""Trains the mini model and its LoRAs, and writes them to presets/mini/.

    python -m training.mini.train                   everything, in order
    python -m training.mini.train --stage base      one stage

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

from training.mini import base, decoder, export, loop, lora, previews, slider, trial, vae, words
from training.mini.generation import EXPORT, SECOND, Generation
from training.mini.render import CACHE
from training.mini.shipped import PRESETS, load_vae
from training.mini.subjects import vocabulary
from training.mini.tokenizer import build_tokenizer

DECODED: Final = "vae-decoder"  # the folder of the autoencoder whose decoder was trained on


@dataclass(frozen=True, slots=True)
class Job:
    """One stage as the command line asks for it.

    Attributes:
        begin: weights that the base begins with; None is what the text stage taught.
    """

    stage: str
    work: Path
    presets: Path
    steps: int
    seed: int
    device: str
    generation: Generation = SECOND
    begin: Path | None = None

    def run(self) -> None:
        """What it makes lies in `work`, or, for "export", in `presets`."""
        tokenizer = build_tokenizer(vocabulary())
        torch.manual_seed(self.seed)
        if self.stage == "vae":
            self.train_vae()
        elif self.stage == "decoder":
            self.train_decoder()
        elif self.stage == "text":
            reader = base.build_text_encoder(tokenizer).to(self.device)
            words.train(tokenizer, reader, self.work, self.steps, self.seed)
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
        narrow = load_vae(self.work / "vae")
        wide = decoder.widen(narrow, self.generation.decoder_widths).to(self.device)
        trained = decoder.train(wide, self.work, self.steps, self.seed, self.generation)
        trained.save_pretrained(self.work / DECODED)

    def train_base(self, tokenizer: CLIPTokenizer) -> None:
        """UNet and text encoder, which can read a little already, or as `begin` holds them."""
        unet = base.build_unet(self.generation).to(self.device)
        text_encoder = base.build_text_encoder(tokenizer).to(self.device)
        if self.begin is None:
            words.adopt(self.work / words.CHECKPOINT, text_encoder)
        else:
            loop.adopt_weights(self.begin, {"unet": unet, "text_encoder": text_encoder})
        parts = (self.encoder(), tokenizer, unet, text_encoder)
        base.train(*parts, self.work, self.steps, self.seed, self.generation)

    def train_lora(self, tokenizer: CLIPTokenizer) -> None:
        """Train one LoRA on the base's checkpoint, and write its file."""
        recipe = lora.RECIPES[self.stage]
        unet, text_encoder = self.trained(tokenizer)
        parts = (self.encoder(), unet, text_encoder, tokenizer)
        lora.train(recipe, *parts, self.work, self.steps, self.seed, generation=self.generation)
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
        return load_vae(self.work / "vae").to(self.device)

    def export(self, tokenizer: CLIPTokenizer) -> None:
        """Write base and LoRAs.

        Raises:
            FileNotFoundError: the base or the decoder is not trained yet.
        """
        decoded = self.work / DECODED
        missing = [each.name for each in (self.work / "base.pt", decoded) if not each.exists()]
        if missing:
            raise FileNotFoundError(f"{' and '.join(missing)}: not trained yet in {self.work}")
        unet, text_encoder = self.trained(tokenizer)
        folder = self.presets / "base"
        parts = (load_vae(decoded), unet.cpu(), text_encoder.cpu(), tokenizer)
        export.export_base(*parts, folder)
        previews.write(load_vae(folder / "vae"), self.seed, folder, self.generation)
        loras = export.copy_files(self.work / "loras", self.presets / "loras")
        loras += export.copy_files(self.work / "trial", self.presets / "trial")
        print("exported the base,", ", ".join(loras), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=CACHE / "mini", help="checkpoints, latents")
    stages = (*SECOND.steps, EXPORT)
    parser.add_argument("--stage", choices=(*stages, "all"), default="all")
    parser.add_argument("--steps", type=int, help="instead of the recipe's step count")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where export writes")
    parser.add_argument("--begin", type=Path, help="weights that the base begins with")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for stage in stages if given.stage == "all" else (given.stage,):
        steps = given.steps or SECOND.steps.get(stage, 0)
        parts = (given.work, given.presets, steps, given.seed, given.device)
        Job(stage, *parts, begin=given.begin).run()


if __name__ == "__main__":
    main()
