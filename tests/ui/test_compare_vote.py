"""A stored comparison, looked at and judged blind: its arms, its pictures, its tally."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, base_against_lora
from studio.comparison.events import Compared
from studio.comparison.record import ComparisonRecord
from studio.comparison.votes import votes_between
from studio.gallery import record_png
from studio.gallery.comparisons import files
from studio.gallery.comparisons.files import sheet_of, votes_of
from studio.ui.compare import blind_vote
from studio.ui.compare.blind_vote import CompareBlind
from studio.ui.compare.viewer import CompareLook
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace
from tests.support.studios import TinyStudio

BASE, LORA = "0/0", "0/1"
SEEDS = 3
REST = ("request", "whole", "offer")


class Named:
    """A name for each component instead of the component."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return Named("review.") if name == "review" else f"{self._prefix}{name}"


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_loras: dict[str, Path]
) -> Iterator[TinyStudio]:
    """A studio with one comparison of three seeds, which no test changes."""
    loras = {"plain": (tiny_loras["plain"], "")}
    folder = tmp_path_factory.mktemp("made")
    usual = {"guidance_scale": 5.0, "scheduler": "DDIMScheduler"}
    studio = TinyStudio.open(folder, "StableDiffusionPipeline", tiny_base, loras, **usual)
    request = studio.request(("plain", 1.0), mode=Mode.LORA, count=SEEDS)
    comparing = Comparing(studio.workspace)
    plan = comparing.plan(base_against_lora(request))
    assert isinstance(plan, ComparisonPlan)
    session = studio.workspace.open_session()
    assert isinstance(list(comparing.run(plan, session, threading.Event()))[-1], Compared)
    yield studio
    studio.workspace.close()


@pytest.fixture
def workspace(made: TinyStudio, tmp_path: Path) -> Iterator[Workspace]:
    """The same pictures in a folder of its own."""
    settings = made.workspace.settings
    outputs = tmp_path / "outputs"
    shutil.copytree(settings.outputs, outputs)
    opened = Workspace.open(replace(settings, outputs=outputs, state=tmp_path / "state"))
    yield opened
    opened.close()


@pytest.fixture
def name(workspace: Workspace) -> str:
    (only,) = workspace.gallery.outputs.rglob("*.comparison.json")
    return only.relative_to(workspace.gallery.outputs).as_posix()


def record_of(workspace: Workspace, name: str) -> ComparisonRecord:
    return workspace.gallery.comparisons.read(name)


def blind(workspace: Workspace) -> CompareBlind:
    parts: Any = Named()
    rest: Any = REST
    return CompareBlind(workspace, parts, rest)


def look(workspace: Workspace) -> CompareLook:
    parts: Any = Named()
    return CompareLook(workspace, parts)


def lost(workspace: Workspace, name: str, column: int) -> Path:
    """The picture of the first seed in a column."""
    cells = workspace.gallery.comparisons.read(name).cells
    cell = next(cell for cell in cells if cell.place.column == column)
    return workspace.gallery.outputs / str(cell.picture)


def prefer(events: CompareBlind, started: dict[Any, Any], wanted: str) -> dict[Any, Any]:
    """Vote for the arm ``left`` or ``right`` of the comparison until the test is over."""
    updates = started
    while updates["test"] is not None:
        test = updates["test"]
        pair = test.pairs[test.position]
        first = wanted == ("right" if pair.swapped else "left")
        updates = events.vote(test, "first" if first else "second")
    return updates


def test_votes_add_up_whichever_arm_was_chosen_first(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    first = prefer(events, events.start(name, LORA, BASE), "right")["result"]
    said = f"preferred in {SEEDS} of {SEEDS}"
    assert said in first
    assert events.offered(name)["result"] == first, "opened again"
    assert events.chosen(name, LORA, BASE)["result"] == first
    assert events.chosen(name, BASE, LORA)["result"] == first
    assert events.chosen(name, BASE, BASE)["result"] == ""
    votes = workspace.gallery.comparisons.votes(name)
    record = record_of(workspace, name)
    base = {cell.record_fingerprint for cell in record.cells if cell.place.column == 0}
    assert {vote.left for vote in votes} <= base, "kept in the comparison's order"
    again = prefer(events, events.start(name, BASE, LORA), "right")["result"]
    assert said in again
    assert f"{2 * SEEDS} votes on {SEEDS} pairs in 2 sittings" in again


def test_a_vote_that_was_kept_the_other_way_round_counts(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    prefer(events, events.start(name, BASE, LORA), "right")
    record, votes = record_of(workspace, name), workspace.gallery.comparisons.votes(name)
    turned = [vote.mirrored for vote in votes]
    assert {vote.choice for vote in turned} == {"left"}
    for arms in (((0, 0), (0, 1)), ((0, 1), (0, 0))):
        assert votes_between(record, arms, turned) == list(votes)


def test_votes_are_bounded_for_a_client_and_in_all(
    workspace: Workspace, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(workspace.settings, public=True, state=tmp_path / "public")
    public = Workspace.open(settings)
    events, comparisons = blind(public), public.gallery.comparisons
    monkeypatch.setattr(blind_vote, "MOST_BY_CLIENT", 2)
    started = events.start(name, LORA, BASE)
    test = started["test"]
    for _ in range(3):
        last = events.vote(test, "equal", "address 1")
    assert "the most" in str(last["result"])
    assert len(comparisons.votes(name)) == 2
    events.vote(test, "equal", "address 2")
    assert len(comparisons.votes(name)) == 3
    monkeypatch.setattr(files, "MAX_VOTES", 10)
    assert "more votes" in str(events.vote(test, "equal", "address 3")["pair"])
    assert len(comparisons.votes(name)) == 3
    public.close()


def test_a_vote_that_was_cut_off_is_said(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    prefer(events, events.start(name, BASE, LORA), "right")
    with votes_of(workspace.gallery.outputs / name).open("a") as stream:
        stream.write('{"at": "cut o')
    result = events.offered(name)["result"]
    assert f"preferred in {SEEDS} of {SEEDS}" in result
    assert "The last vote was cut off" in result


def test_a_verdict_that_the_rules_of_today_contradict_is_said_beside_its_seal(
    workspace: Workspace, name: str
) -> None:
    """As one from before effects were asked for: valid then, its LoRA's effect unmeasured."""
    events, gallery = look(workspace), workspace.gallery
    assert "rules of today" not in events.open(name)["seal"]
    record, path = record_of(workspace, name), lost(workspace, name, column=1)
    whole = gallery.read(path)
    receipt = whole.receipt.model_copy(update={"effect": None, "layer_effect": None})
    old = whole.model_copy(update={"receipt": receipt})
    path.write_bytes(record_png.encode(record_png.decode(path.read_bytes()), old))
    assert "rules of today" not in events.open(name)["seal"], "another picture is judged elsewhere"
    cells = tuple(
        cell.model_copy(update={"record_fingerprint": old.fingerprint})
        if cell.record_fingerprint == whole.fingerprint
        else cell
        for cell in record.cells
    )
    sheet = Image.open(sheet_of(gallery.outputs / name)).convert("RGB")
    stored = gallery.comparisons.save(record.model_copy(update={"cells": cells}), sheet)
    seal = events.open(stored.relative_to(gallery.outputs).as_posix())["seal"]
    assert "Valid comparison" in seal
    assert "the verdict is: invalid comparison. The receipt of" in seal
    assert "no effect of its LoRAs together. Run it again." in seal


@pytest.mark.parametrize("damage", ["deleted", "damaged", "replaced"])
def test_a_lost_cell_leaves_the_rest_of_its_comparison_in_reach(
    workspace: Workspace, name: str, damage: str
) -> None:
    events = look(workspace)
    whole = events.open(name)
    assert whole["review.picture"]
    spoil(workspace, name, damage)
    opened = events.open(name)
    assert opened["stored"] == name
    assert opened["seal"] == whole["seal"]
    assert opened["kept"].visible
    assert "is not there as it was compared" in opened["numbers"]
    assert "Paired effect over the seeds" in opened["numbers"]
    assert (opened["slider"], opened["sides"], opened["contract"]) == (None, "", "")
    assert opened["review.picture"] == "", "nobody decides on what is not shown"
    assert "Not verified." in events.verify(name)["said"]
    record = workspace.gallery.comparisons.read(name)
    sound = [n for n, cell in enumerate(record.cells) if cell.place.repeat == 1][:2]
    assert events.pair(name, sound[0], sound[1])["slider"] is not None
    deleted = events.delete(name)
    assert deleted["stored"] == deleted["seal"] == ""


@pytest.mark.parametrize("damage", ["deleted", "damaged", "replaced"])
def test_nobody_votes_on_another_picture_than_was_compared(
    workspace: Workspace, name: str, damage: str
) -> None:
    events = blind(workspace)
    spoil(workspace, name, damage)
    updates = events.start(name, BASE, LORA)
    assert updates["whole"].visible is False
    pages = [updates["pair"]]
    while updates["test"] is not None:
        updates = events.vote(updates["test"], "equal")
        pages.append(updates["pair"] + updates.get("result", ""))
    (said,) = (page for page in pages if "is left out" in page)
    assert "Verify the comparison to see which" in said
    assert all(page.count("<img") == 2 for page in pages[:-1])
    assert len(workspace.gallery.comparisons.votes(name)) == SEEDS - 1
    assert updates["whole"].visible is True


def test_without_a_sound_pair_no_vote_begins(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    for path in {each.path for each in workspace.gallery.query()}:
        path.unlink()
    updates = events.start(name, BASE, LORA)
    assert updates["test"] is None
    assert updates["whole"].visible is True
    assert updates["result"].count("is left out") == SEEDS


def test_a_comparison_that_vanishes_in_a_vote_ends_it(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    test = events.start(name, BASE, LORA)["test"]
    workspace.gallery.comparisons.delete(name)
    ended = events.vote(test, "first")
    assert ended["test"] is None
    assert ended["whole"].visible is True
    assert "is not there any more" in ended["result"]


def test_what_cannot_be_opened_leaves_nothing_of_another(workspace: Workspace, name: str) -> None:
    events = look(workspace)
    (workspace.gallery.outputs / name).write_text("no record")
    opened = events.open(name)
    assert "cannot be read" in opened["seal"]
    assert (opened["stored"], opened["review.picture"]) == ("", "")
    assert not opened["kept"].visible
    assert not opened["look"].visible


def test_votes_that_cannot_be_read_are_said_and_nothing_else_is_lost(
    workspace: Workspace, name: str
) -> None:
    votes_of(workspace.gallery.outputs / name).write_text("no vote\n")
    offered = blind(workspace).offered(name)
    assert "cannot be read" in offered["result"]
    assert offered["offer"].visible


def spoil(workspace: Workspace, name: str, damage: str) -> None:
    """Delete the LoRA's first picture, flip a byte of it, or put the base's in its place."""
    path = lost(workspace, name, column=1)
    match damage:
        case "deleted":
            workspace.gallery.delete(path)
        case "damaged":
            data = bytearray(path.read_bytes())
            data[-20] ^= 1
            path.write_bytes(data)
        case "replaced":
            shutil.copy(lost(workspace, name, column=0), path)
