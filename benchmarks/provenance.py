"""What marks and signatures cost, and 5,000 tampered files: python -m benchmarks.provenance

Size and time are of pictures that Mini makes; the tampered files are golden pictures, signed ones
among them, changed in one place each with every checksum made good. None may be called whole.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, LoraChoice
from studio.gallery import record_png
from studio.gallery.verification import examine
from studio.settings import Settings
from studio.workspace.workspace import Workspace
from tests.support.mutants import false_wholes

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
TURNS = 20


def measure(folder: Path) -> dict[str, float]:
    settings = Settings(folder, folder / "outputs", folder / "state", device="cpu", sign="local")
    with closing(Workspace.open(settings)) as workspace:
        wanted = GenerationRequest(
            base="mini",
            mode=Mode.LORA_WITH_TRIGGER,
            loras=(LoraChoice(slug="pen-ink-mini"),),
            prompt="a penguin on a blue background",
            seed=7,
        )
        plan = workspace.plan(wanted)
        assert isinstance(plan, RunPlan), plan
        session, seconds = workspace.open_session(), []
        for _ in range(3):  # the first one loads
            start = time.perf_counter()
            done = list(workspace.run(plan, session, threading.Event()))[-1]
            seconds.append(time.perf_counter() - start)
            assert isinstance(done, Finished), done
        return _costs(workspace, done.path, done.record, min(seconds))


def _costs(workspace: Workspace, path: Path, record: RunRecord, image: float) -> dict[str, float]:
    pixels = record_png.decode(path.read_bytes())
    plain = record_png.encode(pixels, record)
    unmarked = record.model_copy(update={"source_type": None})
    sealing, reading = [], []
    for _ in range(TURNS):
        start = time.perf_counter()
        signed = record_png.sealed(plain, record, workspace.sealer, {})
        sealing.append(time.perf_counter() - start)
        start = time.perf_counter()
        assert examine(signed).judged == "whole"
        reading.append(time.perf_counter() - start)
    labelled = record.model_copy(update={"producer": "A Producer Ltd."})
    return {
        "mark_bytes": len(plain) - len(record_png.encode(pixels, unmarked)),
        "mark_with_label_bytes": len(record_png.encode(pixels, labelled))
        - len(record_png.encode(pixels, unmarked)),
        "signature_bytes": len(signed) - len(plain),
        "signature_ms": 1000 * statistics.median(sealing),
        "verify_ms": 1000 * statistics.median(reading),
        "image_ms": 1000 * image,
        "signature_share": statistics.median(sealing) / image,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    files = [
        each.read_bytes()
        for each in sorted(GOLDEN.glob("schema_*/outputs/*/*.png"))
        if ".comparison." not in each.name
    ]
    start = time.perf_counter()
    false = list(false_wholes(files, arguments.mutants))
    found |= {
        "mutants": arguments.mutants,
        "false_wholes": len(false),
        "mutants_s": time.perf_counter() - start,
    }
    for name, value in found.items():
        print(f"{name:20} {value:.4g}")
    print(*false[:20], sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
