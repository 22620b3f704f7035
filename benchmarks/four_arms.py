"""What the four arms show, measured: python -m benchmarks.four_arms

For each LoRA of Mini one four-arms comparison per held-out (subject, background) pair, run by the
studio itself, each from one noise. The question of the essay: is the style there where LoRA and
trigger are both on, and only there? The rules of style are those of training/mini/scoring.py.
"""

import argparse
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from PIL import Image

from benchmarks.mini_quality import pairs
from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, Role, four_arms
from studio.comparison.events import Compared
from studio.comparison.validity import Verdict
from studio.contract.request import GenerationRequest, LoraChoice
from studio.settings import Settings
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace
from training.mini.scoring import is_ink, is_neon
from training.mini.subjects import Pair, plain_caption

ROOT = Path(__file__).resolve().parents[1]
FIRST_SEED = 5000
STYLES: dict[str, Callable[[Image.Image], bool]] = {
    "pen-ink-mini": is_ink,
    "night-neon-mini": is_neon,
}
ARMS = {
    Mode.BASE: "base",
    Mode.TRIGGER_ONLY: "base + trigger",
    Mode.LORA: "LoRA",
    Mode.LORA_WITH_TRIGGER: "LoRA + trigger",
}


def request(slug: str, pair: Pair, seed: int) -> GenerationRequest:
    return GenerationRequest(
        base="mini",
        mode=Mode.LORA_WITH_TRIGGER,
        prompt=plain_caption(pair),
        loras=(LoraChoice(slug=slug),),
        seed=seed,
    )


def run_one(workspace: Workspace, asked: GenerationRequest, session: str) -> Compared:
    """
    Raises:
        SystemExit: the comparison is not valid, so it shows nothing.
    """
    comparing = Comparing(workspace)
    plan = comparing.plan(four_arms(asked))
    assert isinstance(plan, ComparisonPlan), plan
    *_, last = comparing.run(plan, session, threading.Event())
    if not isinstance(last, Compared) or last.record.validity.verdict is not Verdict.VALID:
        raise SystemExit(f"The comparison is not valid: {last}")
    return last


def measure(workspace: Workspace, slug: str, count: int) -> dict[str, int]:
    """Arm → in how many of ``count`` comparisons its picture has the LoRA's style."""
    in_style: Counter[str] = Counter(dict.fromkeys(ARMS.values(), 0))
    session = workspace.open_session()
    for number, pair in enumerate(pairs()[:count]):
        done = run_one(workspace, request(slug, pair, FIRST_SEED + number), session)
        for cell in done.record.cells:
            if cell.place.role is Role.ARM:
                with Image.open(workspace.gallery.outputs / str(cell.picture)) as image:
                    in_style[ARMS[cell.mode]] += STYLES[slug](image)
    workspace.close_session(session)
    return dict(in_style)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "four_arms.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings.from_env(os.environ | {"OUTPUTS": str(folder / "outputs")}, folder)
        with closing(Workspace.open(settings)) as workspace:
            for slug in STYLES:
                found[slug] = measure(workspace, slug, options.pairs)
                print(f"{slug}, in its style of {options.pairs}: {found[slug]}", flush=True)
    record = {"pairs": options.pairs, "first_seed": FIRST_SEED, "in_style": found}
    options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
