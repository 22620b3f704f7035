"""Events, cancel, receipts and errors of a run."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import pytest
from PIL import Image

from studio.engine import Engine, Generated, RunCancelled
from studio.engine.compare import differences
from studio.errors import ContractBroken, EngineError, OutOfMemory
from studio.events import Loading, Progress
from studio.schedulers import SCHEDULER_NAMES
from tests.plans import make_job, make_plan, pictures, pixels


def test_events_come_in_order_with_previews(engine: Engine, tiny_base: Path) -> None:
    job = make_job(tiny_base, steps=4, count=2, run_id="r1")
    events = list(engine.generate(job, threading.Event()))
    kinds = [type(event) for event in events]
    assert kinds == [Loading] * 2 + ([Progress] * 4 + [Generated]) * 2
    steps = [event for event in events if isinstance(event, Progress)]
    assert [(event.index, event.step) for event in steps] == [
        (index, step) for index in (0, 1) for step in (1, 2, 3, 4)
    ]
    assert steps[0].preview is not None
    assert Image.open(io.BytesIO(steps[0].preview)).size == (128, 128)
    assert steps[3].preview is None


def test_the_receipt_is_what_the_picture_is(engine: Engine, tiny_base: Path) -> None:
    first, second = pictures(engine, make_job(tiny_base, count=2, seed=41, width=64))
    for index, made in enumerate((first, second)):
        image = made.receipt.image
        assert (image.index, image.seed) == (index, 41 + index)
        assert (image.width, image.height) == made.image.size == (64, 32)
        assert image.pixels_sha256 == hashlib.sha256(made.image.tobytes()).hexdigest()
    assert second.image.tobytes() == pixels(engine, tiny_base, seed=42, width=64)
    timings = first.receipt.timings
    assert timings.total == pytest.approx(
        timings.load + timings.loras + timings.encode + timings.denoise + timings.decode
    )
    assert first.receipt.warnings == ()


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_scheduler_runs_the_planned_steps(
    name: str, engine: Engine, tiny_base: Path
) -> None:
    events = list(engine.generate(make_job(tiny_base, scheduler=name, steps=3), threading.Event()))
    made = events[-1]
    assert isinstance(made, Generated)
    assert (made.receipt.scheduler, made.receipt.steps) == (name, 3)
    shown = [event.step for event in events if isinstance(event, Progress)]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (1, 3)


def test_a_scheduler_outside_the_list_is_refused(engine: Engine, tiny_base: Path) -> None:
    with pytest.raises(EngineError, match="no scheduler 'FlaxDDIMScheduler'"):
        pictures(engine, make_job(tiny_base, scheduler="FlaxDDIMScheduler"))


def test_schedulers_leave_nothing_behind(engine: Engine, tiny_base: Path) -> None:
    before = pixels(engine, tiny_base)
    pixels(engine, tiny_base, scheduler="UniPCMultistepScheduler", steps=3)
    assert pixels(engine, tiny_base) == before


def test_cancel_stops_within_a_step_and_leaves_the_pipeline_clean(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    lora = (tiny_loras["text"], 1.0)
    clean = pixels(engine, tiny_base, lora)
    cancel = threading.Event()
    events = engine.generate(make_job(tiny_base, lora, steps=500), cancel)
    next(event for event in events if isinstance(event, Progress))
    cancel.set()
    late: list[object] = []
    with pytest.raises(RunCancelled):
        late.extend(events)
    # The engine does not wait for its reader: some steps were done before the event was set.
    assert len(late) < 490
    assert pixels(engine, tiny_base, lora) == clean


def test_cancel_before_the_start_does_nothing(engine: Engine, tiny_base: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(RunCancelled):
        pictures(engine, make_job(tiny_base), cancel)
    assert engine.memory().bases == ()


def test_a_reader_that_leaves_stops_the_run(engine: Engine, tiny_base: Path) -> None:
    events = engine.generate(make_job(tiny_base, steps=200, count=50), threading.Event())
    for event in events:
        if isinstance(event, Progress):
            break
    events.close()
    assert pictures(engine, make_job(tiny_base))


def test_closing_cancels_what_runs_and_takes_no_more(engine: Engine, tiny_base: Path) -> None:
    events = engine.generate(make_job(tiny_base, steps=500), threading.Event())
    next(event for event in events if isinstance(event, Progress))
    engine.close()
    with pytest.raises(RunCancelled):
        list(events)
    with pytest.raises(EngineError, match="closed"):
        pictures(engine, make_job(tiny_base))


def test_out_of_memory_is_named_and_survived(engine: Engine, tiny_base: Path) -> None:
    """256 TB of latents: more than any machine's address space, refused by the allocator."""
    before = pixels(engine, tiny_base)
    with pytest.raises(OutOfMemory, match="the picture"):
        pictures(engine, make_job(tiny_base, width=32_000_000, height=32_000_000))
    (after,) = pictures(engine, make_job(tiny_base))
    assert after.image.tobytes() == before


def test_a_receipt_that_differs_from_the_plan_is_named(engine: Engine, tiny_base: Path) -> None:
    (made,) = pictures(engine, make_job(tiny_base))
    plan = make_plan(tiny_base)
    assert differences(plan, made.receipt) == ()
    for wrong in ({"steps": 9}, {"scheduler": "PNDMScheduler"}, {"seed": 1}, {"clip_skip": 2}):
        (line,) = differences(make_plan(tiny_base, **wrong), made.receipt)
        assert line.startswith(next(iter(wrong)).replace("_", " "))


def test_a_lora_without_its_file_breaks_the_contract(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    from dataclasses import replace

    job = make_job(tiny_base, (tiny_loras["plain"], 1.0))
    with pytest.raises(ContractBroken, match="No file was given for plain"):
        pictures(engine, replace(job, lora_paths={}))


def test_a_module_count_that_is_not_the_plans_breaks_the_contract(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    from dataclasses import replace

    job = make_job(tiny_base, (tiny_loras["plain"], 1.0))
    use = job.plan.loras[0].model_copy(update={"modules": {"unet": 47}})
    with pytest.raises(ContractBroken, match="LoRAs"):
        pictures(engine, replace(job, plan=job.plan.model_copy(update={"loras": (use,)})))


def test_the_engine_alone_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, studio.engine, studio.backends; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
