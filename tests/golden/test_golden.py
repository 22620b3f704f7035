"""What earlier releases wrote is read, verified and used again, for ever.

Each folder ``schema_N`` was written by the first release of that schema step and never changes:
``models``, ``presets`` and the ``outputs`` made with them, ``golden.json`` with the fingerprints,
``fields.json`` with every field of that step.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel

from studio.comparison.axes import ComparisonPlan
from studio.comparison.replay import Replayed, ReplayOutcome, ReplayWanted
from studio.comparison.review import as_csv, as_jsonl
from studio.comparison.validity import Verdict
from studio.contract.base import SCHEMA, Versioned, fingerprint
from studio.contract.plan import RunPlan
from studio.contract.statement import Statement
from studio.gallery import Filter, Gallery
from studio.gallery.comparisons.verification import judged_anew, verify_comparison
from studio.gallery.publishing import examine_published, publication_text
from studio.gallery.record_png import RECORD_KEY
from studio.gallery.replays import read as read_replay
from studio.gallery.replays import verify_replay
from studio.gallery.verification import verify
from studio.imaging import png
from studio.settings import Settings
from studio.trials.report.verification import verify_card
from studio.ui.studio.form import read, write
from studio.workspace.comparing import Comparing
from studio.workspace.replaying import replay
from studio.workspace.reviewing import Reviewing
from studio.workspace.workspace import Workspace
from tests.golden.fields import WRITTEN, all_fields, differences, unannounced, used, uses

HERE = Path(__file__).parent
STEPS = sorted(HERE.glob("schema_*"), key=lambda each: int(each.name.partition("_")[2]))
MODELS = [step / "models" for step in STEPS if (step / "models").exists()]
"""The bases of all families: a step has those that came with it."""
NAMES = [
    (step, name)
    for step in STEPS
    for name in json.loads((step / "golden.json").read_text())
    if not name.startswith("comparison")
]
FIRST = {
    "base": "afc172d5c6b0715b0d366d75ab77facd8c40ba612402a4c6022a32754353a600",
    "stacked": "ce39bab98fdf1d39367c0eda86468376882511612753daed51f10dbe6354d0f3",
}
"""Two fingerprints that no file can change along with the code."""


def listed(step: Path) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = json.loads((step / "golden.json").read_text())
    return values


def listed_fields(step: Path) -> dict[str, str]:
    kinds: dict[str, str] = json.loads((step / "fields.json").read_text(encoding="utf-8"))
    return kinds


def written(step: Path) -> Iterator[str]:
    """Every path in the files of ``step``, as JSON alone reads them."""
    for picture in (step / "outputs").glob("*/*.png"):
        texts = png.texts(png.chunks(picture.read_bytes()))
        if RECORD_KEY in texts:
            yield from used("RunRecord", json.loads(texts[RECORD_KEY]))
    for name, pattern, key in (
        ("ComparisonRecord", "outputs/*/*.comparison.json", "record"),
        ("ReplayRecord", "outputs/*/*.replay-*.json", "record"),
        ("EpochCard", "*.card.json", "card"),
    ):
        for path in step.glob(pattern):
            yield from used(name, json.loads(path.read_bytes())[key])
    for published in (step / "published").glob("*"):
        text = publication_text(published.read_bytes())
        yield from used("Publication", json.loads(str(text)))
    for name, pattern in (("BlindVote", "*/*.votes.jsonl"), ("Decision", ".reviews/*.jsonl")):
        for lines in (step / "outputs").glob(pattern):
            for line in lines.read_text(encoding="utf-8").splitlines():
                yield from used(name, json.loads(line))


@pytest.fixture(scope="module", params=STEPS, ids=lambda step: step.name)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Workspace]]:
    """A step's folder, and a workspace over a copy of it."""
    step: Path = request.param
    folder = tmp_path_factory.mktemp(step.name) / "golden"
    shutil.copytree(step, folder)
    workspace = Workspace.open(
        Settings(
            MODELS[0],
            folder / "outputs",
            folder / "state",
            tuple(models.parent / "presets" for models in MODELS),
            more_folders=tuple(MODELS[1:]),
            device="cpu",
        )
    )
    assert not workspace.problems
    yield step, workspace
    workspace.close()


@pytest.mark.parametrize(("step", "name"), NAMES, ids=lambda value: getattr(value, "name", value))
def test_a_picture_verifies_and_keeps_its_fingerprints(step: Path, name: str) -> None:
    outputs = step / "outputs"
    expected = listed(step)[name]
    found = verify(outputs / expected["picture"], lambda sha: outputs / f"references/{sha}.png")
    assert found.findings == ()
    assert found.record is not None
    assert found.record.fingerprint == expected["record"]
    assert step != STEPS[0] or expected["record"] == FIRST.get(name, expected["record"])
    assert found.record.plan.fingerprint == found.record.plan_fingerprint == expected["plan"]
    assert found.record.schema_version <= int(step.name.partition("_")[2])
    assert found.written_by


def test_the_gallery_finds_each_by_what_its_record_says(opened: tuple[Path, Workspace]) -> None:
    step, workspace = opened
    gallery = workspace.gallery
    for name, expected in listed(step).items():
        if name.startswith("comparison"):
            continue
        plan = gallery.read(expected["picture"]).plan
        lora = plan.loras[0].slug if plan.loras else None
        wanted = Filter(base=plan.base.slug, lora=lora, mode=plan.mode)
        assert expected["picture"] in [each.name for each in gallery.query(wanted)]
        assert [each.name for each in gallery.with_record(expected["record"])] == [
            expected["picture"]
        ]
    comparisons = [name for name in listed(step) if name.startswith("comparison")]
    assert len(gallery.comparisons.stored()) == len(comparisons)


def test_a_comparison_verifies_with_its_votes(opened: tuple[Path, Workspace]) -> None:
    step, workspace = opened
    expected = listed(step)["comparison"]
    place = workspace.gallery.outputs / expected["picture"]
    found = verify_comparison(place)
    assert found.findings == ()
    assert found.record is not None
    assert found.record.fingerprint == expected["record"]
    assert found.record.plan_fingerprint == expected["plan"]
    assert found.record.validity.verdict is Verdict.VALID
    assert judged_anew(workspace.gallery, found.record) == found.record.validity
    votes = workspace.gallery.comparisons.votes(place)
    assert [(vote.choice, vote.test) for vote in votes] == [("right", "golden")]


def test_a_comparison_of_a_newer_studio_is_not_called_changed(tmp_path: Path) -> None:
    stored = STEPS[-1] / "outputs" / listed(STEPS[-1])["comparison"]["picture"]
    record = json.loads(stored.read_bytes())["record"]
    record |= {"schema_version": SCHEMA + 1, "weather": "fair"}
    place = tmp_path / stored.name
    place.write_text(json.dumps({"record": record, "sha256": fingerprint(record)}))
    assert [finding.code for finding in verify_comparison(place).findings] == ["newer_record"]
    record["weather"] = "foul"
    place.write_text(json.dumps({"record": record, "sha256": "0" * 64}))
    assert [finding.code for finding in verify_comparison(place).findings] == ["comparison"]


def test_a_picture_made_again_from_its_plan_is_the_same(opened: tuple[Path, Workspace]) -> None:
    """Pixel-identical where it was made with this hardware and these libraries; elsewhere, and
    for records that do not name their hardware, other numerics at most."""
    step, workspace = opened
    # A plan for a class of workers runs on no other hardware.
    left_out = {"mini_base", "mini_ink", "worker"}
    left_out |= {name for name in listed(step) if name.startswith("comparison")}
    session = workspace.open_session()
    for name in listed(step).keys() - left_out:
        place = workspace.gallery.outputs / listed(step)[name]["picture"]
        wanted = ReplayWanted((place,))
        *_, made = replay(workspace, wanted, session, threading.Event())
        assert isinstance(made, Replayed), made
        same = ReplayOutcome.IDENTICAL if not made.record.changes else made.record.outcome
        assert made.record.outcome is same is not ReplayOutcome.DIFFERENT, (
            name,
            made.record.words,
        )
        assert verify_replay(made.evidence).findings == ()


@pytest.mark.parametrize("path", sorted(HERE.glob("*/outputs/*/*.replay-*.json")), ids=str)
def test_evidence_of_a_replay_verifies(path: Path) -> None:
    assert verify_replay(path).findings == ()
    assert read_replay(path).outcome is ReplayOutcome.IDENTICAL


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.card.json")), ids=str)
def test_every_number_of_a_card_follows_from_its_observations(path: Path) -> None:
    found = verify_card(path.read_text(encoding="utf-8"), None)
    assert found.findings == ()
    assert found.card is not None


@pytest.mark.parametrize("path", sorted(HERE.glob("*/published/*")), ids=str)
def test_what_was_published_verifies(path: Path) -> None:
    found = examine_published(path.read_bytes())
    assert found.findings == ()
    assert found.told


def test_decisions_are_exported_as_they_were(opened: tuple[Path, Workspace]) -> None:
    step, workspace = opened
    judged = list(Reviewing(workspace.gallery).judged())
    assert len(judged) == 3
    assert as_jsonl(judged) == (step / "decisions.jsonl").read_bytes().decode("utf-8")
    assert as_csv(judged) == (step / "decisions.csv").read_bytes().decode("utf-8")


def test_use_these_settings_leads_back_to_the_same_plan(opened: tuple[Path, Workspace]) -> None:
    """But for the embedded model, which may have been trained further since."""
    step, workspace = opened
    for name, expected in listed(step).items():
        if name.startswith(("comparison", "mini")):
            continue
        record = workspace.gallery.read(expected["picture"])
        if record.plan.references:
            (reference,) = record.plan.references
            given = workspace.add_reference(workspace.gallery.reference(reference.sha256))
            assert given == reference
        values = write(record.plan, record.receipt.image.seed, workspace.catalog)
        plan = workspace.plan(read(values, workspace.catalog))
        assert isinstance(plan, RunPlan), (name, [item.describe() for item in plan])
        # Libraries, the mark and the workers are the studio's that runs now, not settings.
        studios = ("libraries", "unmarked", "worker_class")
        kept = {name: getattr(record.plan, name) for name in studios}
        assert plan.model_copy(update=kept).fingerprint == expected["plan"], name


def test_cells_that_shared_a_call_are_read_and_verified(tmp_path: Path) -> None:
    """Written by the last release that could make several pictures in one call."""
    shared = HERE / "shared"
    expected = json.loads((shared / "golden.json").read_text())
    shutil.copytree(shared / "outputs", tmp_path / "outputs")
    gallery = Gallery(tmp_path / "outputs")
    found = verify_comparison(tmp_path / "outputs" / expected["comparison"])
    assert found.findings == ()
    assert found.record is not None
    assert (found.record.fingerprint, found.record.plan_fingerprint) == (
        expected["record"],
        expected["plan"],
    )
    assert not found.record.wanted.exact
    assert [cell.together for cell in found.record.cells] == [2, 2]
    assert judged_anew(gallery, found.record) == found.record.validity
    for picture in gallery.query(Filter()):
        assert verify(picture.path).findings == ()
        assert gallery.read(picture.path).receipt.together == 2


def test_a_comparison_leads_back_to_the_same_plan(opened: tuple[Path, Workspace]) -> None:
    step, workspace = opened
    expected = listed(step)["comparison"]
    record = workspace.gallery.comparisons.read(expected["picture"])
    planned = Comparing(workspace).plan(record.wanted)
    assert isinstance(planned, ComparisonPlan)
    libraries = workspace.gallery.read(listed(step)["base"]["picture"]).plan.libraries
    cells = tuple(
        cell.model_copy(update={"plan": cell.plan.model_copy(update={"libraries": libraries})})
        for cell in planned.cells
    )
    same = planned.model_copy(update={"cells": cells})
    assert same.fingerprint == expected["plan"]


def test_every_step_has_its_golden_files() -> None:
    assert [step.name for step in STEPS] == [f"schema_{n}" for n in range(1, SCHEMA + 1)]


def test_every_model_that_is_written_is_walked() -> None:
    def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for each in model.__subclasses__():
            yield each
            yield from below(each)

    # A run's plan is walked in its record, and a comparison's is written as its record.
    # And what is stated, in its publication.
    elsewhere = {RunPlan, ComparisonPlan, Statement}
    found = {each for each in below(Versioned) if each.__module__.startswith("studio.")}
    assert found == {*WRITTEN, *elsewhere}


def test_no_field_of_a_record_changes_without_a_new_step() -> None:
    """CONTRIBUTING.md, "How to add a field to a record"."""
    assert differences(listed_fields(STEPS[-1]), all_fields()) == []


@pytest.mark.parametrize(("before", "after"), [*pairwise(STEPS)])
def test_a_step_only_adds_fields_that_say_so(before: Path, after: Path) -> None:
    step = int(after.name.partition("_")[2])
    assert unannounced(listed_fields(before), listed_fields(after), step) == []


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_golden_files_use_every_field_of_their_step(step: Path) -> None:
    number = int(step.name.partition("_")[2])
    found = set(written(step))
    # Who said a value is one list for all settings: each name on it once is enough.
    values = {path.rpartition(".")[2] for path in found if " = " in path}
    missing = uses(number, listed_fields(step)) - found
    assert {path for path in missing if path.rpartition(".")[2] not in values} == set()


def test_the_fingerprint_is_the_same_in_plain_json() -> None:
    """Independent of pydantic: the committed text alone gives the fingerprint."""
    first = STEPS[0] / "decisions.jsonl"
    lines = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    assert {fingerprint(line["record"]) for line in lines} == set(FIRST.values())
