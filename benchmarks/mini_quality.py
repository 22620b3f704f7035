"""Measures the embedded model on (subject, background) pairs it never saw in training.

    python -m benchmarks.mini_quality [--sheet sheet.png] [--threads 2]

Needs the extras of the training code (resvg-py, npm for the drawings). Every arm runs on the
exported files in presets/mini with fixed seeds, 20 steps and guidance scale 3. The result goes to
benchmarks/mini_quality.json; a table is printed. Nothing is repeated or left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from training.mini.lora import RECIPES
from training.mini.render import contact_sheet, draw_placement, render
from training.mini.scoring import (
    check_rules,
    ground,
    is_ink,
    is_neon,
    keeps_colour,
    nearest_subject,
)
from training.mini.subjects import BASE, PEN_INK, STYLES, Pair, Style, held_out, plain_caption
from training.mini.vae import to_tensor
from training.mini.vae_trial import psnr

ROOT: Final = Path(__file__).resolve().parents[1]
PRESETS: Final = ROOT / "presets" / "mini"
STEPS: Final = 20
GUIDANCE: Final = 3.0
DECIBELS: Final = 32.0  # wanted of the autoencoder
BATCH: Final = 8  # pictures per pipeline call; each has its own seed
BASE_SEEDS: Final = (1000, 2000)  # each held-out pair is drawn once with each
ARM_SEED: Final = 3000
ARM_PAIRS: Final = 40
TIMED_RUNS: Final = 5


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


Measured = tuple[list[Result], dict[str, list[Picture]]]


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


def subject_right(style: Style) -> Callable[[Picture], bool]:
    """Whether the nearest of all subjects, drawn in this style, is the wanted one."""
    return lambda p: nearest_subject(p.image, p.pair.background, style) == p.pair.subject


def measure_base(pictures: list[Picture]) -> list[Result]:
    """The two rules of the base arm."""
    return [
        count("base", "subject right", pictures, subject_right(BASE), 0.98),
        count(
            "base",
            "background right",
            pictures,
            lambda p: ground(p.image) == p.pair.background,
            0.98,
        ),
    ]


def colour_kept(picture: Picture) -> bool:
    return keeps_colour(picture.image, picture.pair)


def measure_style(style: Style, arms: dict[str, list[Picture]]) -> list[Result]:
    """The three arms of one LoRA, and the subjects of its style."""
    in_style = is_ink if style == PEN_INK else is_neon
    name = style.name
    both = arms["LoRA + trigger"]
    return [
        count(f"{name}: LoRA + trigger", "in style", both, lambda p: in_style(p.image), 0.98),
        count(f"{name}: LoRA + trigger", "subject right", both, subject_right(style), 0.9),
        count(
            f"{name}: LoRA, no trigger",
            "keeps colour",
            arms["LoRA, no trigger"],
            colour_kept,
            0.95,
        ),
        count(
            f"{name}: trigger, no LoRA",
            "keeps colour",
            arms["trigger, no LoRA"],
            colour_kept,
            0.95,
        ),
    ]


def time_one(pipeline: StableDiffusionPipeline) -> float:
    """Median seconds for one 128x128 picture (20 steps, guidance on), after a warm-up run."""
    seconds = list[float]()
    for run in range(TIMED_RUNS + 1):
        started = time.perf_counter()
        pipeline(
            "a rocket on a blue background",
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(run),
        )
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def load() -> StableDiffusionPipeline:
    """The exported base in fp32; it never reaches for a network."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        PRESETS / "base", local_files_only=True, torch_dtype=torch.float32, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def reconstruction(vae: AutoencoderKL) -> dict[str, float]:
    """Style to mean decibels of the held-out pairs' drawings, through the autoencoder alone."""
    found = {}
    for style in STYLES:
        rng = Random(f"reconstruction {style.name}")
        drawn = to_tensor([render(pair, style, draw_placement(rng)) for pair in pairs()])
        made = [
            vae.decode(vae.encode(p).latent_dist.mean).sample for p in torch.split(drawn, BATCH)
        ]
        found[style.name] = round(float(psnr(torch.cat(made), drawn).mean()), 2)
    return found


def run_base() -> Measured:
    """Every held-out pair with each base seed, no words, no LoRA."""
    pipeline = load()
    pictures = [p for seed in BASE_SEEDS for p in draw(pipeline, pairs(), "", seed)]
    return measure_base(pictures), {"base": pictures}


def run_style(name: str) -> Measured:
    """The three arms of one LoRA, on the same pairs and seeds."""
    style = RECIPES[name].style
    pipeline, some = load(), pairs()[:ARM_PAIRS]
    arms = {"trigger, no LoRA": draw(pipeline, some, style.trigger, ARM_SEED)}
    pipeline.load_lora_weights(
        PRESETS / "loras",
        weight_name=f"{style.name}.safetensors",
        adapter_name=style.name,
        use_safetensors=True,
        local_files_only=True,
    )
    arms["LoRA, no trigger"] = draw(pipeline, some, "", ARM_SEED)
    arms["LoRA + trigger"] = draw(pipeline, some, style.trigger, ARM_SEED)
    results = measure_style(style, arms)
    return results, {f"{style.name}: {arm}": pictures for arm, pictures in arms.items()}


def run_part(name: str) -> Measured:
    """One part of the benchmark in a process of its own, on one core."""
    torch.set_num_threads(1)
    return run_base() if name == "base" else run_style(name)


def run_all(processes: int) -> Measured:
    """Every part: the results and the pictures behind them."""
    results, arms = list[Result](), dict[str, list[Picture]]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for part_results, part_arms in pool.map(run_part, [*RECIPES, "base"]):
            results += part_results
            arms |= part_arms
    return results, arms


def sheet(arms: dict[str, list[Picture]], path: Path, columns: int = 16) -> None:
    """One row of the same pairs for each arm."""
    rows = [picture.image for pictures in arms.values() for picture in pictures[:columns]]
    contact_sheet(rows, columns).save(path)


def report(
    results: list[Result],
    seconds: float,
    decibels: dict[str, float],
    arms: dict[str, list[Picture]],
) -> str:
    """A Markdown table."""
    lines = ["| Arm | Measured | Passed | Share | Target |", "|---|---|---:|---:|---:|"]
    for r in results:
        share = f"{r.passed} of {r.total} | {r.share:.1%}"
        lines.append(f"| {r.arm} | {r.rule} | {share} | {r.target:.0%} |")
    for style, mean in decibels.items():
        lines.append(
            f"| autoencoder | {style}, reconstructed | {mean:.1f} dB | | {DECIBELS:.0f} dB |"
        )
    lines.append(f"| base | seconds for one image | {seconds:.2f} s | | 2 s |")
    lines.append(f"\n{sum(map(len, arms.values()))} images in all.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="for the time of one image")
    parser.add_argument("--processes", type=int, default=2, help="that draw the images")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of all arms")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "mini_quality.json")
    arguments = parser.parse_args()
    rules = check_rules(pairs())
    if any(rules.values()):
        raise SystemExit(f"the rules do not separate the drawings themselves: {rules}")
    results, arms = run_all(arguments.processes)
    torch.set_num_threads(arguments.threads)
    pipeline = load()
    seconds, decibels = time_one(pipeline), reconstruction(pipeline.vae)
    record = {
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        "threads": arguments.threads,
        "images": sum(map(len, arms.values())),
        "seconds_for_one_image": round(seconds, 3),
        "decibels": decibels,
        "results": [{**asdict(r), "share": round(r.share, 4)} for r in results],
    }
    arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if arguments.sheet:
        sheet(arms, arguments.sheet)
    print(report(results, seconds, decibels, arms))


if __name__ == "__main__":
    main()
