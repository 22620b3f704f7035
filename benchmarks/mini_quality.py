"""Measures the embedded model on (subject, background) pairs it never saw in training.

    python -m benchmarks.mini_quality [--sheet sheet.png] [--threads 2]

Needs the extras of the training code (resvg-py, npm for the drawings). Every arm runs on the
exported files in presets/mini with fixed seeds, 20 steps and guidance scale 3. The result goes to
benchmarks/mini_quality.json; a table is printed. Nothing is repeated or left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline

from benchmarks.mini_pictures import (
    GUIDANCE,
    STEPS,
    Picture,
    Result,
    count,
    draw,
    load,
    pairs,
    switch_on,
)
from training.mini.lora import RECIPES
from training.mini.render import contact_sheet
from training.mini.scoring import (
    check_rules,
    ground,
    is_ink,
    is_neon,
    keeps_colour,
    light,
    nearest_subject,
)
from training.mini.shipped import PRESETS
from training.mini.subjects import BASE, DAY_NIGHT, PEN_INK, Style
from training.mini.vae import decibels

ROOT: Final = Path(__file__).resolve().parents[1]
DECIBELS: Final = 32.0  # wanted of the autoencoder
BASE_SEEDS: Final = (1000, 2000)  # each held-out pair is drawn once with each
ARM_SEED: Final = 3000
ARM_PAIRS: Final = 40
TIMED_RUNS: Final = 5
SLIDER: Final = "day-night"
STRENGTHS: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the slider, from day to night


Measured = tuple[list[Result], dict[str, list[Picture]]]


def subject_right(style: Style, night: float = 0.0) -> Callable[[Picture], bool]:
    """Whether the nearest of all subjects, drawn in this style and light, is the wanted one."""
    return lambda p: nearest_subject(p.image, p.pair.background, style, night) == p.pair.subject


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


def run_base(presets: Path) -> Measured:
    """Every held-out pair with each base seed, no words, no LoRA."""
    pipeline = load(presets)
    pictures = [p for seed in BASE_SEEDS for p in draw(pipeline, pairs(), "", seed)]
    return measure_base(pictures), {"base": pictures}


def run_style(presets: Path, name: str) -> Measured:
    """The three arms of one LoRA, on the same pairs and seeds."""
    style = RECIPES[name].style
    pipeline, some = load(presets), pairs()[:ARM_PAIRS]
    arms = {"trigger, no LoRA": draw(pipeline, some, style.trigger, ARM_SEED)}
    switch_on(pipeline, presets, style)
    arms["LoRA, no trigger"] = draw(pipeline, some, "", ARM_SEED)
    arms["LoRA + trigger"] = draw(pipeline, some, style.trigger, ARM_SEED)
    results = measure_style(style, arms)
    return results, {f"{style.name}: {arm}": pictures for arm, pictures in arms.items()}


def run_slider(presets: Path) -> Measured:
    """The slider's arms: every strength on the same pairs and seeds."""
    name = DAY_NIGHT.name
    pipeline, some = load(presets), pairs()[:ARM_PAIRS]
    switch_on(pipeline, presets, DAY_NIGHT)
    arms = dict[str, list[Picture]]()
    for strength in STRENGTHS:
        pipeline.set_adapters([name], [strength])
        arms[f"{name}: {strength:+g}"] = draw(pipeline, some, "", ARM_SEED)
    rows = zip(*arms.values(), strict=True)
    series = [[light(picture.image) for picture in row] for row in rows]
    falling = sum(all(a > b for a, b in itertools.pairwise(row)) for row in series)
    results = [Result(name, "darker step by step", falling, len(series), 0.95)]
    for strength in (STRENGTHS[0], STRENGTHS[-1]):
        arm = f"{name}: {strength:+g}"
        right = subject_right(BASE, strength)
        results.append(count(arm, "subject right", arms[arm], right, 0.9))
    return results, arms


def run_part(presets: Path, name: str) -> Measured:
    """One part of the benchmark in a process of its own, on one core."""
    torch.set_num_threads(1)
    if name == "base":
        return run_base(presets)
    return run_slider(presets) if name == SLIDER else run_style(presets, name)


def run_all(presets: Path, processes: int) -> Measured:
    """Every part that is there: the results and the pictures behind them."""
    results, arms = list[Result](), dict[str, list[Picture]]()
    parts = [*RECIPES, "base"]
    if (presets / "loras" / f"{DAY_NIGHT.name}.safetensors").exists():
        parts.append(SLIDER)  # since the second generation
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for part_results, part_arms in pool.map(partial(run_part, presets), parts):
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
    reconstructed: dict[str, float],
    arms: dict[str, list[Picture]],
) -> str:
    """A Markdown table."""
    lines = ["| Arm | Measured | Passed | Share | Target |", "|---|---|---:|---:|---:|"]
    for r in results:
        share = f"{r.passed} of {r.total} | {r.share:.1%}"
        lines.append(f"| {r.arm} | {r.rule} | {share} | {r.target:.0%} |")
    for style, mean in reconstructed.items():
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
    parser.add_argument("--presets", type=Path, default=PRESETS, help="where base and loras lie")
    arguments = parser.parse_args()
    rules = check_rules(pairs())
    if any(rules.values()):
        raise SystemExit(f"the rules do not separate the drawings themselves: {rules}")
    results, arms = run_all(arguments.presets, arguments.processes)
    torch.set_num_threads(arguments.threads)
    pipeline = load(arguments.presets)
    seconds, reconstructed = time_one(pipeline), decibels(pipeline.vae, pairs())
    record = {
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        "threads": arguments.threads,
        "images": sum(map(len, arms.values())),
        "seconds_for_one_image": round(seconds, 3),
        "decibels": reconstructed,
        "results": [{**asdict(r), "share": round(r.share, 4)} for r in results],
    }
    arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if arguments.sheet:
        sheet(arms, arguments.sheet)
    print(report(results, seconds, reconstructed, arms))


if __name__ == "__main__":
    main()
