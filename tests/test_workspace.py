"""The one way from request to picture, on a tiny base with real files."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.events import Cancelled, Event, Failed, Finished, Progress
from studio.plan import RunPlan
from studio.request import GenerationRequest, LoraChoice, Overrides
from studio.settings import Settings
from studio.workspace import Workspace

PRESETS = """
models:
  - slug: tiny
    label: Tiny
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: mini
    settings: {steps: 2, guidance_scale: 2.0, default_width: 64, default_height: 64,
               dtype: float32, scheduler: DDIMScheduler}
loras:
  - {slug: plain, label: Plain, base_architecture: mini, path: plain.safetensors,
     prompt: plaintrigger, trigger: required, settings: {strength: 0.8}}
  - {slug: text, label: Text, base_architecture: mini, path: text.safetensors, trigger: none}
"""


@pytest.fixture
def workspace(tmp_path: Path, tiny_base: Path, tiny_loras: dict[str, Path]) -> Iterator[Workspace]:
    models = tmp_path / "models"
    shutil.copytree(tiny_base, models / "base")
    for name in ("plain", "text"):
        shutil.copy(tiny_loras[name], models / f"{name}.safetensors")
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "tiny.yaml").write_text(PRESETS)
    opened = Workspace.open(
        Settings(
            model_base_path=models,
            outputs=tmp_path / "outputs",
            state=tmp_path / "state",
            preset_dirs=(presets,),
            device="cpu",
        )
    )
    yield opened
    opened.close()


def request(*slugs: str, mode: Mode = Mode.BASE, **changes: object) -> GenerationRequest:
    values: dict[str, object] = {
        "base": "tiny",
        "mode": mode,
        "prompt": "a rocket",
        "seed": 7,
        "loras": tuple(LoraChoice(slug=slug) for slug in slugs),
    }
    return GenerationRequest.model_validate(values | changes)


def planned(workspace: Workspace, wanted: GenerationRequest) -> RunPlan:
    plan = workspace.plan(wanted)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    return plan


def run(workspace: Workspace, plan: RunPlan, session: str | None = None) -> list[Event]:
    return list(workspace.run(plan, session or workspace.open_session(), threading.Event()))


def finished(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished), last
    return last


def test_the_picture_carries_the_plan_that_was_shown(workspace: Workspace) -> None:
    plan = planned(workspace, request("plain", mode=Mode.LORA_WITH_TRIGGER))
    done = finished(run(workspace, plan))
    record = workspace.gallery.read(done.path)
    assert record.plan == plan
    assert record.plan_fingerprint == plan.fingerprint
    assert record.receipt.loras[0].sha256 == plan.loras[0].sha256
    assert workspace.verify(done.path).ok


def test_the_base_is_the_same_before_and_after_a_lora(workspace: Workspace) -> None:
    base = planned(workspace, request())
    lora = planned(workspace, request("plain", "text", mode=Mode.LORA))
    before, with_lora, after = (
        finished(run(workspace, plan)).record.receipt.image.pixels_sha256
        for plan in (base, lora, base)
    )
    assert before == after
    assert with_lora != before


def test_a_file_that_changes_after_the_plan_is_refused_at_the_run(workspace: Workspace) -> None:
    plan = planned(workspace, request("plain", mode=Mode.LORA))
    models = workspace.settings.model_base_path
    shutil.copy(models / "text.safetensors", models / "plain.safetensors")
    failed = run(workspace, plan)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "weights"
    assert workspace.gallery.query() == []


def test_a_hash_is_pinned_on_first_use_and_checked_ever_after(workspace: Workspace) -> None:
    wanted = request("plain", mode=Mode.LORA)
    first = planned(workspace, wanted)
    assert "pin_on_first_use" in {notice.code for notice in first.notices}
    finished(run(workspace, first))
    assert planned(workspace, wanted).notices != first.notices
    models = workspace.settings.model_base_path
    shutil.copy(models / "text.safetensors", models / "plain.safetensors")
    violations = workspace.plan(wanted)
    assert not isinstance(violations, RunPlan)
    assert [item.code for item in violations] == ["hash_mismatch"]
    workspace.repin("plain")
    assert isinstance(workspace.plan(wanted), RunPlan)


def test_each_image_of_a_run_has_its_own_seed_and_file(workspace: Workspace) -> None:
    done = [
        event
        for event in run(workspace, planned(workspace, request(count=3)))
        if isinstance(event, Finished)
    ]
    assert [event.record.receipt.image.seed for event in done] == [7, 8, 9]
    assert len({event.path for event in done}) == 3
    assert len({event.record.receipt.image.pixels_sha256 for event in done}) == 3


def test_cancelling_stops_within_a_step_and_saves_nothing(workspace: Workspace) -> None:
    plan = planned(workspace, request(settings=Overrides(steps=200)))
    cancel, session, steps = threading.Event(), workspace.open_session(), 0
    last: Event | None = None
    for event in workspace.run(plan, session, cancel):
        last = event
        if isinstance(event, Progress):
            cancel.set()
            steps = event.step
    assert isinstance(last, Cancelled)
    assert steps < 20
    assert workspace.gallery.query() == []


def test_closing_the_session_cancels_what_it_runs(workspace: Workspace) -> None:
    plan = planned(workspace, request(settings=Overrides(steps=200)))
    session = workspace.open_session()
    events = workspace.run(plan, session, threading.Event())
    for event in events:
        if isinstance(event, Progress):
            workspace.close_session(session)
            break
    assert isinstance(list(events)[-1], Cancelled)
    assert workspace.queue_length() == 0


def test_two_sessions_do_not_see_each_others_lora(workspace: Workspace) -> None:
    plans = [
        planned(workspace, request(mode=Mode.BASE)),
        planned(workspace, request("plain", mode=Mode.LORA)),
        planned(workspace, request("text", mode=Mode.LORA)),
    ]
    alone = [finished(run(workspace, plan)).record.receipt.image.pixels_sha256 for plan in plans]
    together: dict[int, str] = {}

    def visit(number: int) -> None:
        done = finished(run(workspace, plans[number]))
        together[number] = done.record.receipt.image.pixels_sha256

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(3)] == alone
    assert len(set(alone)) == 3
