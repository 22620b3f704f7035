"""A recorded plan is run again, and the answer is what the receipts' hashes say."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from studio.architecture import Mode
from studio.comparison.replay import (
    Distance,
    NotReplayed,
    Replayed,
    ReplayOutcome,
    ReplayWanted,
    Stage,
    judge,
)
from studio.contract.plan import Library
from studio.contract.receipt import RunRecord
from studio.gallery.replays import is_replay, replays_of, verify_replay
from studio.workspace.replaying import Replaying, find, replay
from studio.workspace.workspace import Workspace
from tests.support.records import flat, run_plan, run_receipt
from tests.workspace.conftest import PRESETS
from tests.workspace.test_workspace import finished, planned, request, run

NEAR = Distance(largest=0.1, mean=0.001, similarity=0.99)
FAR = Distance(largest=1.0, mean=0.3, similarity=0.2)
HASHES: dict[str, Any] = {
    "hardware": "CPU, 2 threads, AVX2",
    "embeddings_sha256": "1" * 64,
    "switched_sha256": "2" * 64,
}
PLAN = run_plan()
MADE = run_receipt(PLAN, flat(), **HASHES)
BEFORE = RunRecord.of(
    PLAN,
    MADE.model_copy(update={"image": MADE.image.model_copy(update={"latents_sha256": "3" * 64})}),
)
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("image", "receipt", "distance", "outcome", "stage"),
    [
        ({}, {}, None, ReplayOutcome.IDENTICAL, None),
        ({}, {"device": "cuda:0"}, None, ReplayOutcome.IDENTICAL, None),
        ({"pixels_sha256": OTHER}, {}, NEAR, ReplayOutcome.DIFFERENT, Stage.PIXELS),
        (
            {"pixels_sha256": OTHER},
            {"device": "cuda:0"},
            NEAR,
            ReplayOutcome.NUMERICS,
            Stage.PIXELS,
        ),
        ({"pixels_sha256": OTHER}, {"hardware": None}, NEAR, ReplayOutcome.NUMERICS, Stage.PIXELS),
        (
            {"pixels_sha256": OTHER},
            {"dtype": "float16"},
            FAR,
            ReplayOutcome.DIFFERENT,
            Stage.PIXELS,
        ),
        (
            {"pixels_sha256": OTHER, "latents_sha256": OTHER},
            {"device": "cuda:0", "embeddings_sha256": OTHER},
            NEAR,
            ReplayOutcome.NUMERICS,
            Stage.ENCODING,
        ),
        (
            {"pixels_sha256": OTHER, "noise_sha256": OTHER},
            {"device": "cuda:0"},
            NEAR,
            ReplayOutcome.DIFFERENT,
            Stage.NOISE,
        ),
        (
            {"pixels_sha256": OTHER},
            {"device": "cuda:0", "switched_sha256": OTHER},
            NEAR,
            ReplayOutcome.DIFFERENT,
            Stage.LORAS,
        ),
        ({"pixels_sha256": OTHER, "latents_sha256": None}, {}, FAR, ReplayOutcome.DIFFERENT, None),
    ],
)
def test_the_answer_by_the_hashes(
    image: dict[str, Any],
    receipt: dict[str, Any],
    distance: Distance | None,
    outcome: ReplayOutcome,
    stage: Stage | None,
) -> None:
    then = BEFORE.receipt
    changed = {**receipt, "image": then.image.model_copy(update=image)}
    now = then.model_copy(update=changed)
    found = judge(BEFORE, now, PLAN.libraries, distance)
    assert found.outcome is outcome
    assert found.stage is (stage or (Stage.PIXELS if image else None))
    assert [each.what for each in found.changes] == [
        name for name in ("device", "hardware", "dtype") if name in receipt
    ]


def test_another_release_of_a_library_is_named() -> None:
    newer = (Library(name="diffusers", version="9.9"), *PLAN.libraries[1:])
    (change,) = judge(BEFORE, BEFORE.receipt, newer, None).changes
    assert (change.what, change.before, change.now) == ("diffusers", "0.42.0", "9.9")


def again(workspace: Workspace, path: Path) -> Replaying:
    session = workspace.open_session()
    return list(replay(workspace, ReplayWanted((path,)), session, threading.Event()))[-1]


def test_a_plan_gives_its_picture_again_wherever_its_weights_lie(workspace: Workspace) -> None:
    plan = planned(workspace, request("plain", mode=Mode.LORA_WITH_TRIGGER, count=2))
    picture = finished(run(workspace, plan)).path  # the second of two
    outputs = len(list(workspace.gallery.outputs.glob("*/*.png")))
    made = again(workspace, picture)
    assert isinstance(made, Replayed), made
    assert (made.record.outcome, made.record.changes) == (ReplayOutcome.IDENTICAL, ())
    assert made.record.receipt.image.index == 1
    models = workspace.settings.model_base_path
    (models / "old").mkdir()
    (models / "base").rename(models / "old" / "moved")
    (models / "plain.safetensors").rename(models / "old" / "another name.safetensors")
    workspace.stock.catalogue.refresh()
    moved = again(workspace, picture)
    assert isinstance(moved, Replayed), moved
    assert moved.record.outcome is ReplayOutcome.IDENTICAL
    assert len(list(workspace.gallery.outputs.glob("*/*.png"))) == outputs
    assert sorted(replays_of(picture)) == sorted((made.evidence, moved.evidence))
    assert is_replay(made.evidence)
    checked = verify_replay(made.evidence)
    assert checked.ok
    assert checked.replayed.startswith("Pixel-identical")
    assert find(workspace, plan.fingerprint).pictures[0].parent == picture.parent
    workspace.gallery.delete(picture)
    assert replays_of(picture) == []


def test_evidence_that_was_edited_is_told(workspace: Workspace) -> None:
    picture = finished(run(workspace, planned(workspace, request()))).path
    made = again(workspace, picture)
    assert isinstance(made, Replayed), made
    evidence, text = made.evidence, made.evidence.read_text()

    def codes(changed: str) -> list[str]:
        evidence.write_text(changed)
        return [finding.code for finding in verify_replay(evidence).findings]

    assert codes(text) == []
    assert codes(text.replace("identical", "different")) == ["replay"]
    assert codes(text[:-9]) == ["replay"]
    whole = json.loads(text)
    other = made.record.model_copy(update={"outcome": ReplayOutcome.DIFFERENT})
    whole["record"], whole["sha256"] = other.model_dump(mode="json"), other.fingerprint
    assert codes(json.dumps(whole)) == ["replay"]
    other = made.record.model_copy(update={"record_fingerprint": "0" * 64})
    whole["record"], whole["sha256"] = other.model_dump(mode="json"), other.fingerprint
    assert codes(json.dumps(whole)) == ["replay"]


def test_everything_that_is_missing_is_named(workspace: Workspace) -> None:
    plan = planned(workspace, request("plain", mode=Mode.LORA_WITH_TRIGGER))
    picture = finished(run(workspace, plan)).path
    models = workspace.settings.model_base_path
    (models / "plain.safetensors").write_bytes((models / "text.safetensors").read_bytes())
    (models / "base" / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    lost = again(workspace, picture)
    assert isinstance(lost, NotReplayed), lost
    assert [each.sha256 for each in lost.lost] == [
        next(each.sha256 for each in plan.base.files if each.name.startswith("vae/diff")),
        plan.loras[0].sha256,
    ]
    assert replays_of(picture) == []


def test_weights_that_a_preset_had_before_are_named(workspace: Workspace) -> None:
    plan = planned(workspace, request())
    (folder,) = workspace.settings.preset_dirs
    before = f"label: Tiny\n    earlier: {{Tiny of spring: {OTHER}}}\n"
    (folder / "tiny.yaml").write_text(PRESETS.replace("label: Tiny\n", before))
    workspace.stock.catalogue.reload()
    file = plan.base.files[0].model_copy(update={"sha256": "e" * 64})
    base = plan.base.model_copy(update={"sha256": OTHER, "files": (file,)})
    (lost,) = workspace.seek(plan.model_copy(update={"base": base}))
    assert (lost.sha256, lost.called) == ("e" * 64, "Tiny of spring")
