"""The studio against the bare diffusers pipeline: python -m benchmarks.image_overhead

Both make the same picture in one process, in turns: same base, LoRA, prompt, seed and
settings, and both write a PNG. The pictures must be equal to the pixel, else the times
would not be of the same work.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

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


def timed(make: Callable[[], Path]) -> tuple[float, Path]:
    begin = time.perf_counter()
    path = make()
    return time.perf_counter() - begin, path


def same_pixels(one: Path, other: Path) -> bool:
    with Image.open(one) as left, Image.open(other) as right:
        return ImageChops.difference(left.convert("RGB"), right.convert("RGB")).getbbox() is None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args(arguments)
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
    ours, theirs = [], []
    for turn in range(pairs):
        order = [(studio, ours), (bare, theirs)]
        for make, times in order if turn % 2 == 0 else reversed(order):
            times.append(timed(make)[0])
    print(f"studio: median {statistics.median(ours):.3f} s of {pairs}")
    print(f"bare:   median {statistics.median(theirs):.3f} s of {pairs}")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"studio / bare: {ratio:.3f} (limit {LIMIT})")
    if ratio > LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
