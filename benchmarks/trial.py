"""A trial of the embedded run's six checkpoints, from nothing to the card, and a long one.

    python -m benchmarks.trial
    python -m benchmarks.trial --out benchmarks/trial.json

Beside the six lie three planted files: one whose weights are zero, one that equals another, and
one that is over-trained (a checkpoint whose update is multiplied). The first part makes 120
pictures at most with the real engine, and asks whether each planted file is named and whether the
checkpoint that comes out best is one that the scoring rules of the training call right. The second
part has 2,000 cells made by a simulated engine in a process that is killed (SIGKILL) in its midst.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from studio.settings import BUILT_IN_PRESETS, Settings
from studio.trials.design import CellRole, TrialDesign
from studio.trials.events import CellOver
from studio.trials.observations import PromptKind
from studio.trials.store import StoredTrial
from studio.trials.words import alarm_texts, sentences
from studio.workspace.trial_design import TrialWanted
from studio.workspace.trial_report import arm_named, card_of, preset_of, write_card, write_sheet
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace
from tests.support.simulated_engine import SimulatedBackend

RUN: Final = BUILT_IN_PRESETS / "mini" / "trial"
IMAGES: Final = 120
OVERTRAINED: Final = 2.5
"""By what the update of the last right checkpoint is multiplied."""
LONG: Final = 2_000
ROOT: Final = Path(__file__).parents[1]


def planted(folder: Path) -> dict[str, str]:
    """The six, and three more; what each planted one is → its step."""
    files = sorted(RUN.glob("*.safetensors"))
    for path in (*files, RUN / "trial.txt"):
        shutil.copy(path, folder / path.name)
    stem = files[0].stem.rpartition("-step")[0]
    named = {"inert": 400, "equal": 410, "overtrained": 420}
    for what, step in named.items():
        source = files[-1] if what == "equal" else files[3]
        target = folder / f"{stem}-step{step:08d}.safetensors"
        if what == "equal":
            shutil.copy(source, target)
            continue
        with safe_open(source, "pt") as file:
            metadata = file.metadata()
        factor = 0.0 if what == "inert" else OVERTRAINED
        state = {
            name: value * factor if ".lora_B." in name else value
            for name, value in load_file(source).items()
        }
        save_file(state, target, metadata=metadata)
    return {what: str(step) for what, step in named.items()}


def settings(folder: Path) -> Settings:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    return Settings(
        model_base_path=models, outputs=folder / "out", state=folder / "state", device="cpu"
    )


def carry_out(workspace: Workspace, stored: StoredTrial) -> int:
    """Pictures that were made or found."""
    session, count = workspace.open_session(), 0
    for event in Trying(workspace).run(stored, session, threading.Event()):
        count += isinstance(event, CellOver)
    workspace.close_session(session)
    return count


def real(folder: Path) -> dict[str, Any]:
    """From nothing to the card, with the real engine."""
    from training.mini.measure import pair_of
    from training.mini.scoring import is_ink, keeps_colour

    run = folder / "run"
    run.mkdir()
    what = planted(run)
    start = time.perf_counter()
    with closing(Workspace.open(settings(folder))) as workspace:
        trying = Trying(workspace)
        design = trying.design(TrialWanted(paths=(run,), images=IMAGES))
        stored = trying.begin(design)
        told = time.perf_counter() - start
        carry_out(workspace, stored)
        ran = time.perf_counter() - start
        _, card = write_sheet(workspace, stored)
        arm = arm_named(design, card, "", None)
        preset, _ = preset_of(workspace, stored, arm)
        chosen = card_of(workspace, stored, arm)
        write_card(workspace, chosen, stored.folder)
        seconds = time.perf_counter() - start
        right: dict[str, dict[str, list[bool]]] = {}
        for each in stored.results().values():
            pair = pair_of(design.prompt(each.cell.prompt, each.cell.kind).text)
            if each.cell.role is not CellRole.ARM or each.picture is None or pair is None:
                continue
            image = Image.open(workspace.gallery.outputs / each.picture)
            called = each.cell.kind is PromptKind.TRIGGER
            passed = is_ink(image) if called else keeps_colour(image, pair)
            kept = right.setdefault(each.cell.arm.checkpoint, {"styled": [], "plain": []})
            kept["styled" if called else "plain"].append(bool(passed))
    found = card.findings
    alarms = {alarm.code: [a.checkpoint for a in alarm.arms] for alarm in found.alarms}
    rates = {
        name: {kind: f"{sum(each)} of {len(each)}" for kind, each in both.items()}
        for name, both in right.items()
    }
    best = right[arm.checkpoint]
    return {
        "images": sum(each.pixels is not None for each in stored.results().values()),
        "seconds": {"to_the_design": round(told, 1), "to_the_last_picture": round(ran, 1),
                    "to_the_card": round(seconds, 1)},
        "planted": what,
        "named": {
            "inert": what["inert"] in alarms.get("inert", []),
            "equal": any(c.name == what["equal"] and c.same_as for c in design.checkpoints),
            "overtrained": what["overtrained"] in alarms.get("leaks", []),
        },
        "chosen": arm.checkpoint,
        "chosen_is_right": min(sum(each) / len(each) for each in best.values()),
        "preset": preset.slug,
        "scored": rates,
        "said": [*sentences(found), *alarm_texts(found)],
        "not_proven": list(card.invalid),
    }  # fmt: skip


def long_design(workspace: Workspace, run: Path) -> TrialDesign:
    files = tuple(sorted(run.glob("*.safetensors")))
    wanted = TrialWanted(
        paths=files, base="mini", trigger="ohwx", subject=("a rocket", "a duck", "a castle"),
        far=("a fox",), strengths=(0.6, 1.0), seeds=23, fixed=True, name="long",
    )  # fmt: skip
    return Trying(workspace).design(wanted)


def child(folder: Path) -> None:
    """Goes on with the long trial until it is killed."""
    with closing(Workspace.open(settings(folder), SimulatedBackend())) as workspace:
        carry_out(workspace, Trying(workspace).store.open("long"))


def long(folder: Path) -> dict[str, Any]:
    """A simulated trial of some 2,000 cells, killed on the way."""
    run = folder / "run"
    run.mkdir()
    for path in sorted(RUN.glob("*.safetensors"))[:6]:
        shutil.copy(path, run / path.name)
    with closing(Workspace.open(settings(folder), SimulatedBackend())) as workspace:
        start = time.perf_counter()
        design = long_design(workspace, run)
        trying = Trying(workspace)
        most = trying.forecast(design).most
        planned = time.perf_counter() - start
        stored = trying.begin(design)
    command = [sys.executable, "-m", "benchmarks.trial", "--child", str(folder)]
    start = time.perf_counter()
    killed = subprocess.Popen(command, cwd=ROOT)
    while len(stored.results()) < most // 2:
        time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before, half = len(stored.results()), time.perf_counter() - start
    with closing(Workspace.open(settings(folder), SimulatedBackend())) as workspace:
        start = time.perf_counter()
        again = carry_out(workspace, stored)
        rest = time.perf_counter() - start
        start = time.perf_counter()
        sheet, card = write_sheet(workspace, stored)
        drawn = time.perf_counter() - start
        return {
            "cells": most,
            "seconds_to_plan": round(planned, 1),
            "killed_after": before,
            "seconds_until_then": round(half, 1),
            "made_after_it": again,
            "seconds_for_the_rest": round(rest, 1),
            "pictures_in_the_gallery": workspace.gallery.count(),
            "numbers": len(stored.observations()),
            "not_proven": list(card.invalid),
            "seconds_for_the_sheet": round(drawn, 1),
            "sheet_bytes": sheet.stat().st_size,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=("real", "long"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child)
        return
    found: dict[str, Any] = {}
    if given.out is not None and given.out.exists():
        found = json.loads(given.out.read_text("utf-8"))
    for name, part in (("real", real), ("long", long)):
        if given.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="studio-trial-") as temporary:
                machine = {
                    "cpu": platform.processor() or platform.machine(),
                    "cores": os.cpu_count(),
                    "threads": torch.get_num_threads(),
                    "load_before": round(os.getloadavg()[0], 1),
                }
                found[name] = {**part(Path(temporary)), "machine": machine}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
