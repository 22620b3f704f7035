"""A job is plain data: another process, with the weights under other names, makes the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studio.contract.audit import discrepancies
from studio.contract.events import Job
from studio.contract.plan import RunPlan
from studio.contract.receipt import Receipt
from studio.engine import Engine
from tests.support.plans import make_job, make_plan, pictures

ROOT = Path(__file__).resolve().parents[2]
FREE = {"run_id", "started_at", "finished_at", "timings"}
"""What two runs of one plan may differ in."""


@pytest.fixture(scope="module")
def plan(tiny_base: Path, tiny_loras: dict[str, Path]) -> RunPlan:
    return make_plan(tiny_base, (tiny_loras["text"], 0.8))


def test_a_job_is_json_and_names_no_place(plan: RunPlan, tiny_base: Path) -> None:
    text = Job(run_id="r", session="s", plan=plan).model_dump_json()
    assert Job.model_validate_json(text).plan.fingerprint == plan.fingerprint
    assert str(tiny_base.parent) not in text


def test_another_process_makes_the_same_picture(
    plan: RunPlan,
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_base, store / "some folder")
    shutil.copyfile(tiny_loras["text"], store / "some file.safetensors")
    jobs = [
        Job(run_id="r1", session="s", plan=plan),
        Job(run_id="r2", session="s", plan=make_plan(tiny_base, (tiny_loras["plain"], 1.0))),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.worker_process", store, tmp_path / "work"],
        input="".join(f"{job.model_dump_json()}\n" for job in jobs).encode(),
        capture_output=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    (here,) = pictures(engine, make_job(tiny_base, (tiny_loras["text"], 0.8)))
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["event"] for each in said] == [
        *["Queued", *["Loading"] * 4, *["Progress"] * 2, "Generated"],
        *["Queued", "Loading", "Failed"],
    ]
    made, failed = said[7], said[-1]
    receipt = Receipt.model_validate_json(made["receipt"])
    assert bytes.fromhex(made["pixels"]) == here.image.tobytes()
    assert receipt.model_dump(exclude=FREE) == here.receipt.model_dump(exclude=FREE)
    assert not discrepancies(plan, receipt)
    assert failed["code"] == "weights", "it has another LoRA only"
