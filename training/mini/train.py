"""Trains the mini model and its LoRAs, and writes them to presets/mini/.

    python -m training.mini.train                                 everything, in order
    python -m training.mini.train --stage base                    one stage
    python -m training.mini.train --stage decoder --onward        on from the shipped weights

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

from training.mini import base, decoder, export, lora, previews, vae
from training.mini.render import CACHE
from training.mini.subjects import vocabulary
from training.mini.tokenizer import build_tokenizer

PRESETS: Final = Path(__file__).resolve().parents[2] / "presets" / "mini"
STEPS: Final = {
    "vae": 20_000,
    "base": 40_000,
    "pen-ink": 6_000,
    "night-neon": 6_000,
    "decoder": 30_000,
}
STAGES: Final = (*STEPS, "export")
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

    def run(self) -> None:
        """What it makes lies in `work`, or, for "export", in `presets`."""
        tokenizer = build_tokenizer(vocabulary())
        torch.manual_seed(self.seed)
        if self.stage == "vae":
            vae.train(self.work, self.steps, self.seed, self.device).save_pretrained(
                self.work / "vae"
            )
        elif self.stage == "decoder":
            narrow = self.shipped_vae() if self.onward else load_vae(self.work / "vae")
            wide = decoder.widen(narrow).to(self.device)
            trained = decoder.train(wide, self.work, self.steps, self.seed)
            trained.save_pretrained(self.work / DECODED)
        elif self.stage == "base":
            self.train_base(tokenizer)
        elif self.stage in lora.RECIPES:
            self.train_lora(tokenizer)
        elif self.stage == "export":
            self.export(tokenizer)
        else:
            raise ValueError(f"no stage {self.stage!r}; there are {', '.join(STAGES)}")

    def train_base(self, tokenizer: CLIPTokenizer) -> None:
        """UNet and text encoder; onward, the UNet alone."""
        if self.onward:
            unet, text_encoder = load_shipped(self.presets / "base")
        else:
            unet, text_encoder = base.build_unet(), base.build_text_encoder(tokenizer)
        parts = (self.encoder(), tokenizer, unet.to(self.device), text_encoder.to(self.device))
        base.train(*parts, self.work, self.steps, self.seed, self.onward)

    def train_lora(self, tokenizer: CLIPTokenizer) -> None:
        """Train one LoRA and write its file: a new one on the base's checkpoint, or, onward, the
        shipped one on the shipped base."""
        recipe = lora.RECIPES[self.stage]
        begun = None
        if self.onward:
            begun = self.presets / "loras" / f"{recipe.style.name}.safetensors"
            unet, text_encoder = load_shipped(self.presets / "base")
        else:
            unet, text_encoder, _ = base.load_average(tokenizer, self.work / "base.pt")
        parts = (self.encoder(), unet.to(self.device), text_encoder.to(self.device), tokenizer)
        lora.train(recipe, *parts, self.work, self.steps, self.seed, begun)
        print("wrote", lora.export(recipe, unet, text_encoder, self.work / "loras").name)

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
            unet, text_encoder, _ = base.load_average(tokenizer, self.work / "base.pt")
        else:
            unet, text_encoder = load_shipped(self.presets / "base")
        decoded = load_vae(self.work / DECODED) if made["decoder"] else self.shipped_vae()
        folder = self.presets / "base"
        export.export_base(decoded, unet, text_encoder, tokenizer, folder)
        previews.write(load_vae(folder / "vae"), self.seed, folder)
        loras = export.copy_loras(self.work / "loras", self.presets / "loras")
        parts = [name for name, there in made.items() if there]
        print("exported", ", ".join([*parts, *loras]), flush=True)


def load_vae(folder: Path) -> AutoencoderKL:
    """An autoencoder that an earlier stage or an earlier run saved, in float32."""
    return AutoencoderKL.from_pretrained(
        folder, torch_dtype=torch.float32, local_files_only=True
    ).eval()


def load_shipped(folder: Path) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """UNet and text encoder of an exported base, in float32."""
    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", torch_dtype=torch.float32, local_files_only=True
    )
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    return unet, text_encoder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=CACHE / "mini", help="checkpoints, latents")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--steps", type=int, help="instead of the recipe's step count")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU")
    parser.add_argument("--onward", action="store_true", help="on from the shipped weights")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where export writes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for stage in STAGES if given.stage == "all" else (given.stage,):
        steps = given.steps or STEPS.get(stage, 0)
        job = Job(stage, given.work, given.presets, steps, given.seed, given.device, given.onward)
        job.run()


if __name__ == "__main__":
    main()
