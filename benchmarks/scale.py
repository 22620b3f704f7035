"""Two real workers under load and under kill -9: python -m benchmarks.scale --json FILE

Mini on two CPU workers behind a real Ray. First, runs of four sessions interleaved, each to be
bit-identical to the same run alone in the studio itself. Then workers killed in the midst of runs,
and the studio (the head) killed in the midst of runs: no record of a picture that was reported is
lost, no picture is there twice, and each loss is named. Last, a comparison by one worker and
by two.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, four_arms
from studio.comparison.events import Compared
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.contract.events import Event, Failed, Finished, Loading, Progress
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.settings import Settings
from studio.settings.workers import Workers
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace
from tests.support.workers import pids

SESSIONS = 4
DIFFERENT = 12
"""Requests, of which the sessions ask again and again in an order of their own."""


def settings(folder: Path, workers: int) -> Settings:
    return Settings(
        folder / "library",
        folder / "outputs",
        folder / "state",
        device="cpu",
        workers=Workers(devices=("cpu",) * workers) if workers else None,
    )


def request(number: int, steps: int) -> GenerationRequest:
    """Base, one LoRA, the other, both: over different seeds and strengths."""
    kinds: tuple[tuple[Mode, tuple[LoraChoice, ...]], ...] = (
        (Mode.BASE, ()),
        (Mode.LORA_WITH_TRIGGER, (LoraChoice(slug="pen-ink-mini"),)),
        (Mode.LORA, (LoraChoice(slug="night-neon-mini", strength=0.7),)),
        (
            Mode.LORA,
            (LoraChoice(slug="pen-ink-mini", strength=0.5), LoraChoice(slug="night-neon-mini")),
        ),
    )
    mode, loras = kinds[number % len(kinds)]
    return GenerationRequest(
        base="mini",
        mode=mode,
        prompt="a rocket on a blue background",
        loras=loras,
        seed=number,
        settings=Overrides(steps=steps),
    )


def plan(studio: Workspace, number: int, steps: int) -> RunPlan:
    planned = studio.plan(request(number, steps))
    assert isinstance(planned, RunPlan), planned
    return planned


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


@contextmanager
def opened(folder: Path, workers: int) -> Iterator[Workspace]:
    (folder / "library").mkdir(parents=True, exist_ok=True)
    with closing(Workspace.open(settings(folder, workers))) as studio:
        studio.describe_device()
        while workers and len(pids(studio)) < workers:
            time.sleep(0.2)
        yield studio


def interleaved(folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """The sessions ask at the same time; each picture is compared with the one made alone."""
    alone: dict[int, bytes] = {}
    with opened(folder / "alone", 0) as studio:
        session = studio.open_session()
        for number in range(DIFFERENT):
            *_, last = studio.run(plan(studio, number, steps), session, threading.Event())
            assert isinstance(last, Finished), last
            alone[number] = pixels(last.path)
    same, wrong, lock = Counter[str](), list[str](), threading.Lock()

    def ask(studio: Workspace, seed: int) -> None:
        draw, session = random.Random(seed), studio.open_session()
        for _ in range(runs // SESSIONS):
            number = draw.randrange(DIFFERENT)
            *_, last = studio.run(plan(studio, number, steps), session, threading.Event())
            with lock:
                if not isinstance(last, Finished) or last.record.receipt.worker is None:
                    wrong.append(repr(last))
                elif pixels(last.path) != alone[number]:
                    wrong.append(f"request {number} has other pixels")
                else:
                    same[last.record.receipt.worker.name] += 1

    with opened(folder / "together", 2) as studio:
        begin = time.perf_counter()
        threads = [threading.Thread(target=ask, args=(studio, seed)) for seed in range(SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begin
    return {
        "runs": runs // SESSIONS * SESSIONS,
        "sessions": SESSIONS,
        "steps": steps,
        "bit_identical_to_alone": sum(same.values()),
        "by_worker": dict(same),
        "wrong": wrong,
        "seconds": round(seconds, 1),
    }


def kill_workers(folder: Path, kills: int, steps: int) -> dict[str, Any]:
    """A worker is killed in the midst of a run, so often; two sessions go on meanwhile."""
    named = lost_pictures = 0
    ends: Counter[str] = Counter()
    reported: list[Path] = []
    with opened(folder, 2) as studio:
        session = studio.open_session()
        for turn in range(kills):
            while not pids(studio):
                time.sleep(0.2)
            killed, said = False, False
            events: list[Event] = []
            for event in studio.run(plan(studio, 100 + turn, steps), session, threading.Event()):
                events.append(event)
                if isinstance(event, Progress) and not killed:
                    (name,) = (each.name for each in studio.workers() if each.running)
                    os.kill(pids(studio)[name], signal.SIGKILL)
                    killed = True
                if isinstance(event, Loading) and "was lost" in event.stage:
                    said = True
                if isinstance(event, Finished):
                    reported.append(event.path)
            last = events[-1]
            said = said or (isinstance(last, Failed) and last.code == "worker_lost")
            named += killed and said
            ends[type(last).__name__] += 1
        lost_pictures = sum(not studio.verify(path).ok for path in reported)
    return {
        "kills": kills,
        "named": named,
        "ends": dict(ends),
        "pictures_reported": len(reported),
        "records_lost": lost_pictures,
        **doubles(folder),
    }


def kill_heads(folder: Path, kills: int, steps: int) -> dict[str, Any]:
    """A studio with two workers in a process of its own, killed after its first pictures."""
    reported: list[str] = []
    for turn in range(kills):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.scale",
                "--head",
                str(folder),
                str(turn),
                str(steps),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("picture "):
                reported.append(line.split(" ", 1)[1].strip())
            if line.startswith("step ") and reported[-1:] != [] and turn < len(reported):
                break
        process.kill()
        process.wait()
    with opened(folder, 0) as studio:
        lost = sum(not studio.verify(Path(path)).ok for path in reported)
    return {
        "kills": kills,
        "pictures_reported": len(reported),
        "records_lost": lost,
        "processes_of_ray_left": left_behind(),
        **doubles(folder),
    }


def head(folder: Path, turn: int, steps: int) -> None:
    """What is killed: runs without end, each told when it is saved."""
    with opened(folder, 2) as studio:
        session = studio.open_session()
        for number in range(1000):
            wanted = plan(studio, 10_000 + 1000 * turn + number, steps)
            for event in studio.run(wanted, session, threading.Event()):
                if isinstance(event, Progress):
                    print("step", event.step, flush=True)
                if isinstance(event, Finished):
                    print("picture", event.path, flush=True)


def comparison(folder: Path, seeds: int, steps: int) -> dict[str, Any]:
    """Four arms on many seeds, by one worker and by two; a small one before warms them."""
    seconds = {}
    for workers in (1, 2):
        with opened(folder / str(workers), workers) as studio:
            compared(studio, 1000, 2, steps)
            begin = time.perf_counter()
            record = compared(studio, 2000, seeds, steps).record
            seconds[workers] = time.perf_counter() - begin
            assert record.validity.verdict is Verdict.VALID, record.validity
    return {
        "cells": 4 * seeds,
        "cells_with_controls_of_two": len(record.cells),
        "steps": steps,
        "cells_by_worker_of_two": dict(Counter(workers_of(studio, record))),
        "threads_of_a_worker": os.environ.get("OMP_NUM_THREADS"),
        "seconds_by_one_worker": round(seconds[1], 1),
        "seconds_by_two_workers": round(seconds[2], 1),
        "two_over_one": round(seconds[2] / seconds[1], 3),
    }


def workers_of(studio: Workspace, record: ComparisonRecord) -> Iterator[str]:
    outputs = studio.settings.outputs
    for cell in record.cells:
        worker = studio.gallery.read(outputs / str(cell.picture)).receipt.worker
        assert worker is not None
        yield worker.name


def compared(studio: Workspace, seed: int, seeds: int, steps: int) -> Compared:
    asked = request(1, steps).model_copy(update={"seed": seed, "count": seeds})
    planned = Comparing(studio).plan(four_arms(asked))
    assert isinstance(planned, ComparisonPlan), planned
    *_, last = Comparing(studio).run(planned, studio.open_session(), threading.Event())
    assert isinstance(last, Compared), last
    return last


def doubles(folder: Path) -> dict[str, int]:
    """Pictures in the outputs, and those of one run and number that are there twice."""
    with opened(folder, 0) as studio:
        records = [studio.gallery.read(path) for path in (folder / "outputs").glob("*/*.png")]
    keys = Counter((each.receipt.run_id, each.receipt.image.index) for each in records)
    return {"pictures": len(records), "double_pictures": sum(n - 1 for n in keys.values())}


def left_behind() -> int:
    """Processes of Ray with a folder of ours, some time after their studio was killed."""
    time.sleep(20)
    found = 0
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += b"studio-ray-" in place.read_bytes()
        except OSError:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=16, help="of the comparison")
    parser.add_argument("--only", nargs="+", help="parts of it; the rest of FILE stays")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--head", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.head:
        head(Path(options.head[0]), int(options.head[1]), int(options.head[2]))
        return
    measured: dict[str, Any] = {"aim": {"runs": 300, "worker_kills": 20, "head_kills": 5}}
    if options.only and options.json and options.json.is_file():
        measured = json.loads(options.json.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, work in (
            ("interleaved", lambda: interleaved(folder / "a", options.runs, options.steps)),
            ("workers_killed", lambda: kill_workers(folder / "b", options.kills, 12)),
            ("heads_killed", lambda: kill_heads(folder / "c", options.heads, 6)),
            ("comparison", lambda: comparison(folder / "d", options.seeds, options.steps)),
        ):
            if options.only and what not in options.only:
                continue
            measured[what] = work()
            measured["load_average"] = [round(each, 1) for each in os.getloadavg()]
            print(json.dumps({what: measured[what]}), flush=True)
            if options.json:
                options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
