"""The one way from request to picture, on a tiny base with real files."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load, save

from studio.architecture import Mode
from studio.backends import BasePlace
from studio.contract.events import Cancelled, Event, Failed, Finished, Progress
from studio.contract.plan import BaseIdentity, RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.contract.violations import WeightsUnusable
from studio.errors import WeightsError
from studio.workspace.workspace import Workspace
from tests.workspace.conftest import PRESETS as PRESETS


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


@pytest.mark.parametrize("in_place", [True, False])
def test_a_base_that_is_replaced_between_check_and_load_makes_no_picture(
    in_place: bool, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it stay in memory under the honest one's name."""
    plan = planned(workspace, request())
    expected = finished(run(workspace, plan)).record.receipt
    manager = workspace._backend._engine._manager  # type: ignore[attr-defined]
    for base in list(manager._bases.values()):
        manager.drop(base)
    unet = workspace.settings.model_base_path / "base/unet/diffusion_pytorch_model.safetensors"
    honest = unet.read_bytes()
    other = save({name: weight * 0.5 for name, weight in load(honest).items()}, {"format": "pt"})
    assert len(other) == len(honest)
    check = workspace._weights.base

    def check_and_replace(wanted: BaseIdentity) -> BasePlace:
        place = check(wanted)
        if not in_place:
            unet.unlink()
        unet.write_bytes(other)
        return place

    with monkeypatch.context() as gap:
        gap.setattr(workspace._weights, "base", check_and_replace)
        failed = run(workspace, plan)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "weights"
    assert "changed while it was loaded" in failed.message
    assert manager.memory().bases == ()
    unet.write_bytes(honest)
    again = finished(run(workspace, plan)).record.receipt
    assert again.image.pixels_sha256 == expected.image.pixels_sha256
    assert again.base_proof == expected.base_proof


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


# ---- weights that are there and cannot be used are violations, never errors


def unusable(workspace: Workspace, wanted: GenerationRequest) -> tuple[set[str], WeightsUnusable]:
    """The codes of all violations, and the one about the base."""
    violations = workspace.plan(wanted)
    assert not isinstance(violations, RunPlan)
    (found,) = (item for item in violations if isinstance(item, WeightsUnusable))
    assert found.field == "base"
    return {item.code for item in violations}, found


def test_a_base_of_another_architecture_is_said_so(workspace: Workspace) -> None:
    _, found = unusable(workspace, request(base="wide"))
    assert "names no tokenizer_2" in found.reason
    assert "base_architecture" in found.remedy


def _replace_by_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("no folder")


def _replace_by_folder(place: Path) -> None:
    place.unlink()
    place.mkdir()


def _replace_by_loop(place: Path) -> None:
    shutil.rmtree(place)
    place.symlink_to(place)


def _replace_by_dangling(place: Path) -> None:
    place.unlink()
    place.symlink_to(place.with_name("nowhere"))


def _without_merges(place: Path) -> None:
    vocabulary = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}
    place.write_text(json.dumps({"version": "1.0", "model": vocabulary}))
    place.with_name("tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("unet", _replace_by_file, "unet cannot be read: Not a directory"),
        ("unet", _replace_by_loop, "unet cannot be read: Too many levels"),
        ("unet", shutil.rmtree, "Its folder unet is missing"),
        ("unet/config.json", _replace_by_folder, "unet/config.json is no file"),
        ("unet/config.json", _replace_by_dangling, "config.json cannot be read: No such file"),
        (
            "unet/diffusion_pytorch_model.safetensors",
            _replace_by_dangling,
            "diffusion_pytorch_model.safetensors cannot be read: No such file",
        ),
        ("model_index.json", _replace_by_folder, "model_index.json is no file"),
        ("tokenizer/tokenizer.json", Path.unlink, "vocab.json or tokenizer.json is missing"),
        ("tokenizer/tokenizer.json", _without_merges, "'added_tokens' is missing"),
    ],
)
def test_a_spoilt_base_hides_no_other_violation(
    workspace: Workspace, name: str, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(workspace.settings.model_base_path / "base" / name)
    codes, found = unusable(workspace, request(prompt=" ", mode=Mode.LORA))
    assert reason in found.reason
    assert found.remedy
    assert codes >= {"prompt_empty", "lora_required"}


def test_a_base_below_a_file_is_unusable(workspace: Workspace) -> None:
    _, found = unusable(workspace, request(base="below"))
    assert "Not a directory" in found.reason


def test_a_changed_tokenizer_is_read_again(workspace: Workspace) -> None:
    before = planned(workspace, request(prompt="zebra"))
    place = workspace.settings.model_base_path / "base/tokenizer/tokenizer.json"
    whole = json.loads(place.read_text())
    whole["model"]["merges"] = []
    place.write_text(json.dumps(whole))
    changed = planned(workspace, request(prompt="a rocket"))
    assert before.base.sha256 != changed.base.sha256
    assert changed.prompt.ledger[0].used == len("arocket")


def test_presence_survives_what_cannot_be_listed(workspace: Workspace) -> None:
    models = workspace.settings.model_base_path
    (models / "loop.safetensors").symlink_to(models / "loop.safetensors")
    there = workspace.present()
    assert (there["tiny"], there["plain"], there["below"]) == (True, True, False)
    index = models / "base/model_index.json"
    index.unlink()
    index.symlink_to(index)
    assert not workspace.present()["tiny"]
    shutil.rmtree(models)
    models.symlink_to(models)
    assert not any(workspace.present()[slug] for slug in ("tiny", "plain"))
    codes, found = unusable(workspace, request())
    assert codes == {"weights_unusable"}
    assert "Too many levels" in found.reason


# ---- pins come from runs that made a picture


def test_what_the_engine_refuses_is_not_pinned(workspace: Workspace) -> None:
    place = workspace.settings.model_base_path / "base/unet/config.json"
    config = json.loads(place.read_text())
    place.write_text(json.dumps(config | {"cross_attention_dim": 7}))
    assert isinstance(run(workspace, planned(workspace, request()))[-1], Failed)
    with pytest.raises(WeightsError, match="tiny is not pinned"):
        workspace.repin("tiny")
    place.write_text(json.dumps(config))
    plan = planned(workspace, request())
    finished(run(workspace, plan))
    assert workspace.repin("tiny").forgotten == plan.base.sha256


def test_a_plan_older_than_the_pin_of_another_file_is_refused(workspace: Workspace) -> None:
    place = workspace.settings.model_base_path / "plain.safetensors"
    own = place.read_bytes()
    wanted = request("plain", mode=Mode.LORA)
    older = planned(workspace, wanted)
    shutil.copy(place.with_name("text.safetensors"), place)
    finished(run(workspace, planned(workspace, wanted)))
    place.unlink()  # the engine may have mapped it; writing into it would change what it reads
    place.write_bytes(own)
    failed = run(workspace, older)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "weights"
    assert "plain was first used with" in failed.message
    assert len(workspace.gallery.query()) == 1


# ---- the caller's cancel event is the caller's


def test_a_cancel_event_that_was_not_set_serves_the_next_run(workspace: Workspace) -> None:
    plan, session = planned(workspace, request()), workspace.open_session()
    cancel = threading.Event()
    for _ in range(2):
        finished(list(workspace.run(plan, session, cancel)))
    assert not cancel.is_set()


def test_closing_the_events_cancels_the_run(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "studio.worker")
    plan = planned(workspace, request(settings=Overrides(steps=200)))
    cancel = threading.Event()
    events = workspace.run(plan, workspace.open_session(), cancel)
    for event in events:
        if isinstance(event, Progress):
            break
    events.close()
    deadline = time.monotonic() + 60
    while workspace.queue_length() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert '"stage": "cancelled"' in caplog.text
    assert not cancel.is_set()
    assert workspace.gallery.query() == []
