"""Time to resolve a plan with many LoRA presets: python -m benchmarks.resolve_speed

Writes the presets to a temporary folder, opens a workspace on it as the studio does, and
times ``Workspace.plan`` for a request with two LoRAs and trigger words.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from studio.architecture import Architecture, Mode
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.settings import Settings
from studio.workspace.workspace import Workspace

LIMIT_MS = 50.0
RUNNABLE = (Architecture.MINI, Architecture.SD15)


def preset(number: int) -> dict[str, Any]:
    """A LoRA preset with trigger words of its own; every second one is for Mini."""
    return {
        "slug": f"lora-{number:05}",
        "label": f"LoRA number {number}",
        "base_architecture": RUNNABLE[number % 2].value,
        "theme": ("sketch", "anime", "cinematic")[number % 3],
        "path": f"loras/lora-{number:05}.safetensors",
        "prompt": f"token{number:05}, a style of its own {number:05}",
        "trigger": "required",
        "settings": {"strength": 0.7},
    }


def request() -> GenerationRequest:
    return GenerationRequest(
        base="mini",
        mode=Mode.LORA_WITH_TRIGGER,
        prompt="a rocket on a blue background",
        loras=(LoraChoice(slug="pen-ink-mini", strength=0.6), LoraChoice(slug="night-neon-mini")),
        seed=7,
    )


def milliseconds(workspace: Workspace, repeats: int) -> list[float]:
    """One time a call, the first one included."""
    times = []
    asked = request()
    for _ in range(repeats):
        begin = time.perf_counter()
        answer = workspace.plan(asked)
        times.append((time.perf_counter() - begin) * 1000)
        assert isinstance(answer, RunPlan), answer
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loras", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        presets = folder / "presets"
        presets.mkdir()
        text = json.dumps({"loras": [preset(number) for number in range(options.loras)]})
        (presets / "many.json").write_text(text)
        settings = Settings(
            model_base_path=folder,
            outputs=folder / "outputs",
            state=folder / "state",
            preset_dirs=(presets,),
        )
        begin = time.perf_counter()
        workspace = Workspace.open(settings)
        opened = time.perf_counter() - begin
        with closing(workspace):
            first, *later = milliseconds(workspace, options.repeats + 1)
            print(f"presets: {len(workspace.catalog.loras)} LoRAs, read in {opened:.1f} s")
    print(f"first plan, weights hashed: {first:.1f} ms")
    print(
        f"plan, {len(later)} times: median {statistics.median(later):.1f} ms, "
        f"slowest {max(later):.1f} ms (limit {LIMIT_MS:.0f} ms)"
    )


if __name__ == "__main__":
    main()
