"""The blind vote's handlers over a real comparison: its arms, its pictures, its tally."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.architecture import Mode
from studio.comparing import Comparing
from studio.comparison.blind import votes_between
from studio.comparison.events import Compared
from studio.comparison.record import ComparisonRecord
from studio.gallery.comparison_files import votes_of
from studio.grid import ComparisonPlan, base_against_lora
from studio.ui.compare_blind import CompareBlind
from studio.workspace import Workspace
from tests.studios import TinyStudio

BASE, LORA = "0/0", "0/1"
SEEDS = 3
REST = ("request", "whole", "offer")


class Named:
    """A name for each component instead of the component."""

    def __getattr__(self, name: str) -> str:
        return name


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


def test_a_vote_that_was_cut_off_is_said(workspace: Workspace, name: str) -> None:
    events = blind(workspace)
    prefer(events, events.start(name, BASE, LORA), "right")
    with votes_of(workspace.gallery.outputs / name).open("a") as stream:
        stream.write('{"at": "cut o')
    result = events.offered(name)["result"]
    assert f"preferred in {SEEDS} of {SEEDS}" in result
    assert "The last vote was cut off" in result
