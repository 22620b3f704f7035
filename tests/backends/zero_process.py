"""A ``ZeroBackend`` in a process of its own, over the stand-in of its GPU service.

Arguments: the tiny base, a LoRA for it, a folder to work in, the service's file of answers. What
was seen goes out as one JSON object.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.zero_api import import_spaces

import_spaces()

import gradio  # noqa: E402
import spaces.zero  # noqa: E402
from gradio.context import LocalContext  # noqa: E402
from starlette.datastructures import Headers  # noqa: E402

from studio.backends import BackendEvent, Generated, LocalBackend  # noqa: E402
from studio.backends.zero import ZeroBackend  # noqa: E402
from studio.contract.audit import discrepancies  # noqa: E402
from studio.contract.events import Failed, Job, Progress  # noqa: E402
from studio.contract.placement import Dtype  # noqa: E402
from studio.contract.plan import RunPlan  # noqa: E402
from studio.engine import Engine, LocalJob  # noqa: E402
from studio.engine.job import Publish  # noqa: E402
from studio.errors import OutOfMemory  # noqa: E402
from studio.resolve import BaseInPlace  # noqa: E402
from studio.settings import Settings  # noqa: E402
from tests.backends.worker_process import Folder  # noqa: E402
from tests.support.plans import make_plan  # noqa: E402

PARENT = os.getpid()


class Told(Engine):
    """An engine that fails, or lasts, where a run's name says so."""

    def run(self, job: LocalJob, cancel: threading.Event, publish: Publish) -> None:
        assert os.getpid() != PARENT, "a run of the GPU began in the parent"
        match job.run_id:
            case "memory":
                raise OutOfMemory("No room.", "Choose less.")
            case "bug":
                raise ZeroDivisionError("by zero")
            case "killed":
                os._exit(1)
            case "changed":
                assert self._manager is not None
                for placed in self._manager._placed.values():
                    next(placed.pipeline.unet.parameters()).data.add_(1.0)
        super().run(job, cancel, publish)


def seen(event: BackendEvent) -> dict[str, Any]:
    if isinstance(event, Generated):
        proof = event.receipt.base_proof
        return {
            "is": "Generated",
            "pixels": event.image.tobytes().hex(),
            "proof": [proof.loaded, proof.now, proof.fresh],
            "resident": [use.resident for use in event.receipt.loras],
        }
    if isinstance(event, Failed):
        return {"is": "Failed", "code": event.code, "message": event.message}
    return {"is": type(event).__name__}


def main(base: Path, lora: Path, work: Path, answers: Path) -> dict[str, Any]:
    settings = Settings(
        work, work, work, device="cpu", zero_gpu=True, gpu_bases=(base.name,), memory_budget=10**9
    )
    weights = Folder((base, lora))
    local = LocalBackend.open(settings, weights)
    plan = make_plan(base, (lora, 0.8))
    plain = make_plan(base)
    # The parent has computed on all its cores before it forks, as it does for Mini.
    with closing(local.run(Job(run_id="here", session="s", plan=plan), threading.Event())) as run:
        here = [seen(event) for event in run][-1]
    backend = ZeroBackend(settings, weights, Told(settings), local)
    backend.place(BaseInPlace(plain.base, Dtype.FLOAT32))
    spaces.zero.startup()  # what its launch() does first

    def run_of(
        name: str, plan: RunPlan, until: Callable[[BackendEvent], bool] = lambda _: False
    ) -> list[dict[str, Any]]:
        cancel, found = threading.Event(), []
        for event in backend.run(Job(run_id=name, session="s", plan=plan), cancel):
            found.append(seen(event))
            if until(event):
                cancel.set()
        settled()
        return found

    def settled() -> None:
        deadline = time.monotonic() + 60
        while backend.queue_length():
            assert time.monotonic() < deadline, "a run does not end"
            time.sleep(0.02)

    found: dict[str, Any] = {"here": here, "asked": [backend.gpu_time(plan)]}
    asking = gradio.Request(headers=Headers({"x-ip-token": "whose-quota"}))
    token = LocalContext.request.set(asking)
    found["first"] = run_of("r1", plan)
    LocalContext.request.reset(token)
    found["asked"].append(backend.gpu_time(plan))
    found["reused"] = run_of("r2", plan)
    found["plain"] = run_of("r3", plain)
    answers.write_text("busy")
    found["fresh"] = run_of("r4", plan)
    found["changed"] = run_of("changed", plain)
    found["unchanged"] = run_of("r0", plain)
    answers.write_text("")
    for name in ("memory", "bug", "killed"):
        found[name] = run_of(name, plan)
    long = make_plan(base, steps=400)
    found["cancelled"] = run_of("r5", long, lambda event: isinstance(event, Progress))
    found["after"] = run_of("r6", plan)
    found["unplaced"] = run_of("r7", make_plan(base, dtype="bfloat16"))
    answers.write_text("quota")
    found["refused"] = run_of("r8", plan)
    assert backend._gpu._manager is not None
    found["measured"] = len(backend._gpu._manager._bases)
    found["closed"] = backend.close(10.0)
    found["agree"] = list(discrepancies_of(plan, backend))
    found["asked"] = [[each.seconds, each.timed] for each in found["asked"] if each]
    return found


def discrepancies_of(plan: RunPlan, backend: ZeroBackend) -> list[str]:
    """What audit says of the pictures that it was timed by."""
    records = [record for kept in backend._past._made.values() for record in kept]
    return [each for record in records for each in discrepancies(record.plan, record.receipt)]


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
