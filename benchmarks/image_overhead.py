"""The studio against the bare diffusers pipeline: python -m benchmarks.image_overhead

Both make the same picture in one process, in turns: same base, LoRA, prompt, seed and
settings, and both write a PNG. The pictures must be equal to the pixel, else the times
would not be of the same work.

With ``--against TREE --json FILE`` another checkout of the studio is measured too, in turns with
this one and by the same libraries, for what a change cost.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageChops

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, PromptEncoder
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.workspace import Workspace

LIMIT = 1.05


def request() -> GenerationRequest:
    """The native encoder, since the bare pipeline has no other."""
    return GenerationRequest(
        base="mini",
        mode=Mode.LORA_WITH_TRIGGER,
        prompt="a rocket on a blue background",
        loras=(LoraChoice(slug="pen-ink-mini"),),
        prompt_encoder=PromptEncoder.NATIVE,
        seed=7,
    )


def bare_pipeline(workspace: Workspace, plan: RunPlan) -> StableDiffusionPipeline:
    """What a script with nothing but diffusers would load."""
    model = workspace.catalog.models[plan.base.slug]
    lora = workspace.catalog.loras[plan.loras[0].slug]
    assert model.source is not None
    assert lora.source is not None
    pipeline = StableDiffusionPipeline.from_pretrained(
        BUILT_IN_PRESETS / str(model.source.embedded),
        dtype=getattr(torch, plan.settings.dtype),
        local_files_only=True,
    )
    file = BUILT_IN_PRESETS / str(lora.source.embedded)
    pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name="lora")
    pipeline.set_adapters(["lora"], [plan.loras[0].strength.value])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def bare_run(pipeline: StableDiffusionPipeline, plan: RunPlan, folder: Path) -> Path:
    settings = plan.settings
    clip_skip = settings.clip_skip.value if settings.clip_skip else 1
    image = pipeline(
        plan.prompt.text,
        negative_prompt=plan.prompt.negative_text,
        num_inference_steps=settings.steps.value,
        guidance_scale=settings.guidance_scale.value,
        width=settings.width.value,
        height=settings.height.value,
        clip_skip=clip_skip - 1 or None,
        generator=torch.Generator("cpu").manual_seed(plan.seed),
    ).images[0]
    path = folder / "bare.png"
    image.save(path)
    return path


def studio_run(workspace: Workspace, plan: RunPlan, session: str) -> Path:
    events = list(workspace.run(plan, session, threading.Event()))
    last = events[-1]
    assert isinstance(last, Finished), last
    return last.path


class Times(list[tuple[float, float]]):
    """Seconds by the clock, and of all processors, for each run."""

    def take(self, make: Callable[[], Path]) -> None:
        clock, processors = time.perf_counter(), time.process_time()
        make()
        self.append((time.perf_counter() - clock, time.process_time() - processors))

    @property
    def clock(self) -> float:
        return statistics.median(clock for clock, _ in self)

    def __str__(self) -> str:
        processors = statistics.median(each for _, each in self)
        return f"median {self.clock:.3f} s of {len(self)}, {processors:.3f} s of the processors"


def same_pixels(one: Path, other: Path) -> bool:
    with Image.open(one) as left, Image.open(other) as right:
        return ImageChops.difference(left.convert("RGB"), right.convert("RGB")).getbbox() is None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.against is not None:
        found = in_turns(options.against, options.turns, options.pairs)
        print(json.dumps(found, indent=1))
        if options.json is not None:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings.from_env(os.environ | {"OUTPUTS": str(folder / "outputs")}, folder)
        with closing(Workspace.open(settings)) as workspace:
            plan = workspace.plan(request())
            assert isinstance(plan, RunPlan), plan
            pipeline = bare_pipeline(workspace, plan)
            session = workspace.open_session()
            compare(
                options.pairs,
                lambda: studio_run(workspace, plan, session),
                lambda: bare_run(pipeline, plan, folder),
            )


def compare(pairs: int, studio: Callable[[], Path], bare: Callable[[], Path]) -> None:
    """Print medians over ``pairs`` turns, the first to go alternating; one turn warms up.

    Raises:
        SystemExit: the pixels differ, or the studio takes longer than LIMIT allows.
    """
    if not same_pixels(studio(), bare()):
        raise SystemExit("The pixels differ, so the times would not be of the same work.")
    print("same pixels: yes")
    ours, theirs = Times(), Times()
    for turn in range(pairs):
        order = [(studio, ours), (bare, theirs)]
        for make, times in order if turn % 2 == 0 else reversed(order):
            times.take(make)
    print(f"studio: {ours}")
    print(f"bare:   {theirs}")
    print(f"studio / bare: {ours.clock / theirs.clock:.3f} (limit {LIMIT})")
    if ours.clock / theirs.clock > LIMIT:
        raise SystemExit(1)


MEDIANS = re.compile(r"(?m)^(studio|bare): +median ([\d.]+) s of \d+, ([\d.]+) s")


def in_turns(before: Path, turns: int, pairs: int) -> dict[str, Any]:
    """This benchmark with the studio of another checkout and with this one, the first to go
    alternating."""
    trees = {"before": before.resolve(), "now": Path(__file__).parents[1]}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in trees}
    for turn in range(turns):
        for name in trees if turn % 2 == 0 else reversed(trees):
            done = subprocess.run(
                [sys.executable, __file__, "--pairs", str(pairs)],
                env=os.environ | {"PYTHONPATH": str(trees[name])},
                capture_output=True,
                text=True,
                check=False,  # 1 where it is over its limit, which is not the question here
            )
            medians = MEDIANS.findall(done.stdout)
            if len(medians) != 2:
                raise SystemExit(done.stdout + done.stderr)
            for who, clock, processors in medians:
                found[name].setdefault(who, []).append(float(clock))
                found[name].setdefault(f"{who}_processors", []).append(float(processors))
    now, then = found["now"], found["before"]
    median = statistics.median
    return {
        "commits": {name: commit(tree) for name, tree in trees.items()},
        "pairs": pairs,
        "median_seconds_of_each_turn": found,
        "studio_over_bare": {
            name: round(median(each["studio"]) / median(each["bare"]), 3)
            for name, each in found.items()
        },
        "now_over_before": {
            who: round(median(now[who]) / median(then[who]), 3) for who in sorted(now)
        },
        "load_average": [round(each, 1) for each in os.getloadavg()],
    }


def commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
