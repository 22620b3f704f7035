"""A comparison against its bare denoising steps: python -m benchmarks.compare_cost

Four arms of Mini with *Pen & Ink*, the two controls among them, from nothing made to the stored
record and its contact sheet. The bare side is diffusers alone: the same cells' denoising loops on
prompts read beforehand, without VAE, PNG, probe or record. Both run in one process, in turns,
warm; the time is the processor's (all threads), so that other programs do not count.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from benchmarks.image_overhead import bare_pipeline
from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, four_arms, strengths
from studio.comparison.events import Compared
from studio.comparison.validity import Verdict
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, PromptEncoder
from studio.settings import Settings
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace

LIMIT = 1.05
SWEEP = (0.3, 0.5, 0.7, 0.9, 1.1, 1.3)


def request(seed: int) -> GenerationRequest:
    """The native encoder, since the bare pipeline has no other."""
    return GenerationRequest(
        base="mini",
        mode=Mode.LORA_WITH_TRIGGER,
        prompt="a rocket on a blue background",
        loras=(LoraChoice(slug="pen-ink-mini"),),
        prompt_encoder=PromptEncoder.NATIVE,
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """Processor seconds of both sides (medians), and studio / bare turn by turn."""

    studio: float
    bare: float
    ratio: float
    lowest: float
    highest: float
    turns: int


class Bare:
    """The cells' denoising loops in diffusers alone."""

    def __init__(self, pipeline: StableDiffusionPipeline, plans: Sequence[RunPlan]) -> None:
        self._pipeline = pipeline
        self._plans = plans
        self._read = [self._encode(plan) for plan in plans]

    def _switch(self, plan: RunPlan) -> None:
        if plan.loras:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(["lora"], [plan.loras[0].strength.value])
        else:
            self._pipeline.disable_lora()

    @torch.no_grad()
    def _encode(self, plan: RunPlan) -> tuple[torch.Tensor, torch.Tensor]:
        self._switch(plan)
        read: tuple[torch.Tensor, torch.Tensor] = self._pipeline.encode_prompt(
            plan.prompt.text, "cpu", 1, True, plan.prompt.negative_text
        )
        return read

    def run(self) -> None:
        for plan, (prompt, negative) in zip(self._plans, self._read, strict=True):
            self._switch(plan)
            self._pipeline(
                prompt_embeds=prompt,
                negative_prompt_embeds=negative,
                num_inference_steps=plan.settings.steps.value,
                guidance_scale=plan.settings.guidance_scale.value,
                width=plan.settings.width.value,
                height=plan.settings.height.value,
                generator=torch.Generator("cpu").manual_seed(plan.seed),
                output_type="latent",
            )


def compare(comparing: Comparing, plan: ComparisonPlan, session: str) -> None:
    """
    Raises:
        SystemExit: the comparison is not valid, so its time would be of something else.
    """
    events = list(comparing.run(plan, session, threading.Event(), fresh=True))
    last = events[-1]
    if not isinstance(last, Compared) or last.record.validity.verdict is not Verdict.VALID:
        raise SystemExit(f"The comparison is not valid: {last}")


def processor_seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(
    workspace: Workspace, name: str, make: Callable[[int], ComparisonPlan], turns: int
) -> Figures:
    """Print and return what it cost; one more turn warms up."""
    comparing, session = Comparing(workspace), workspace.open_session()
    pipeline = bare_pipeline(workspace, make(0).cells[-2].plan)
    ours, theirs = [], []
    for turn in range(turns + 1):
        plan = make(turn)
        bare = Bare(pipeline, [cell.plan for cell in plan.cells])
        pair = [(lambda p=plan: compare(comparing, p, session), ours), (bare.run, theirs)]
        for work, times in pair if turn % 2 == 0 else reversed(pair):
            times.append(processor_seconds(work))
    ratios = [one / other for one, other in zip(ours[1:], theirs[1:], strict=True)]
    found = Figures(
        studio=statistics.median(ours[1:]),
        bare=statistics.median(theirs[1:]),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        turns=turns,
    )
    print(
        f"{name}: studio {found.studio:.2f} s, bare denoising {found.bare:.2f} s, "
        f"ratio {found.ratio:.3f} ({found.lowest:.3f} to {found.highest:.3f}, {turns} turns)"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings.from_env(os.environ | {"OUTPUTS": str(folder / "outputs")}, folder)
        with closing(Workspace.open(settings)) as workspace:
            comparing = Comparing(workspace)

            def arms(turn: int) -> ComparisonPlan:
                plan = comparing.plan(four_arms(request(turn)))
                assert isinstance(plan, ComparisonPlan), plan
                return plan

            def sweep(turn: int) -> ComparisonPlan:
                plan = comparing.plan(strengths(request(turn), SWEEP))
                assert isinstance(plan, ComparisonPlan), plan
                return plan

            made = {"four arms": arms, "six strengths": sweep}
            found = {
                name: measure(workspace, name, make, options.turns) for name, make in made.items()
            }
    if options.json is not None:
        figures = {name: asdict(each) for name, each in found.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if found["four arms"].ratio > LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
