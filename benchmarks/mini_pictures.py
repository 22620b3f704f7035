"""Pictures of the embedded model, drawn as its benchmark wants them, and one line of its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from training.mini.subjects import Pair, Style, held_out, plain_caption

STEPS: Final = 20
GUIDANCE: Final = 3.0
BATCH: Final = 8  # pictures per pipeline call; each has its own seed


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: how many pictures pass, and what was asked for."""

    arm: str
    rule: str
    passed: int
    total: int
    target: float

    @property
    def share(self) -> float:
        return self.passed / self.total


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what it should show."""

    pair: Pair
    image: Image.Image


def pairs() -> list[Pair]:
    """The held-out pairs, in an order that mixes subjects and backgrounds."""
    ordered = sorted(held_out(), key=lambda pair: (pair.subject, pair.background))
    return [ordered[index * 20 % len(ordered)] for index in range(len(ordered))]


def draw(
    pipeline: StableDiffusionPipeline, wanted: list[Pair], words: str, first_seed: int
) -> list[Picture]:
    """One picture of each pair; `words` stand after the caption, as the studio appends them."""
    made = list[Picture]()
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        prompts = [plain_caption(pair) + (f", {words}" if words else "") for pair in part]
        generators = [
            torch.Generator().manual_seed(first_seed + start + index) for index in range(len(part))
        ]
        images = pipeline(
            prompts,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=generators,
        ).images
        made += [Picture(pair, image) for pair, image in zip(part, images, strict=True)]
    return made


def count(
    arm: str, rule: str, pictures: list[Picture], test: Callable[[Picture], bool], target: float
) -> Result:
    """Apply one rule to every picture of an arm."""
    return Result(arm, rule, sum(test(p) for p in pictures), len(pictures), target)


def load(presets: Path) -> StableDiffusionPipeline:
    """The exported base in fp32; it never reaches for a network."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        presets / "base", local_files_only=True, torch_dtype=torch.float32, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def switch_on(pipeline: StableDiffusionPipeline, presets: Path, style: Style) -> None:
    """Load a LoRA of the exported files; it is at strength 1."""
    pipeline.load_lora_weights(
        presets / "loras",
        weight_name=f"{style.name}.safetensors",
        adapter_name=style.name,
        use_safetensors=True,
        local_files_only=True,
    )
