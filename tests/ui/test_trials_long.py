"""A trial of two thousand cells on the page: what every look costs, and what is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from studio.settings import Settings
from studio.trials.design import CellRole, TrialCell, TrialDesign, cells, controls
from studio.trials.observations import Observation
from studio.trials.store import CellResult, StoredTrial
from studio.trials.tournament import Duel
from studio.ui.trials import form, layout
from studio.ui.trials.events import TrialEvents
from studio.ui.trials.report import TrialReports
from studio.workspace.runs import Runs
from studio.workspace.trial_design import TrialWanted
from studio.workspace.trial_desk import MINI, TrialDesk, TrialState
from studio.workspace.trial_report import card_of
from studio.workspace.trial_voting import next_duel
from studio.workspace.workspace import Workspace
from tests.support.simulated_engine import SimulatedBackend
from tests.support.simulated_trials import sha

QUICK = 5.0
"""Seconds that a look may take on a machine that is busy; on a quiet one it is a tenth."""


@dataclass
class Long:
    events: TrialEvents
    stored: StoredTrial
    rest: list[TrialCell]
    """Cells that have no picture yet."""

    def look(self, seen: str) -> dict[Any, Any]:
        return self.events.look_again(self.stored.name, seen)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Long]:
    folder = tmp_path_factory.mktemp("long")
    (folder / "models").mkdir()
    settings = Settings(
        model_base_path=folder / "models",
        outputs=folder / "outputs",
        state=folder / "state",
        local_presets=folder / "local.yaml",
        device="cpu",
    )
    workspace = Workspace.open(settings, SimulatedBackend())
    desk = TrialDesk(workspace, Runs(workspace))
    wanted = TrialWanted(paths=(MINI,), strengths=(0.6, 1.0), seeds=23, fixed=True, name="long")
    stored = desk.trying.begin(desk.trying.design(wanted))
    with gr.Blocks():
        asked = form.build()
        parts = layout.build_opened(layout.build_list())
    yield Long(TrialEvents(workspace, desk, parts, asked), stored, fill(stored))
    workspace.close()


def fill(stored: StoredTrial) -> list[TrialCell]:
    """As 2,000 simulated pictures would leave it, and the cells that are left."""
    design, state = stored.design(), np.random.RandomState(4)
    wanted = list(cells(design, design.arms, design.rule.seeds))
    assert len(wanted) + 2 >= 2_000
    made, rest = wanted[:-20], wanted[-20:]
    lines = [result(cell).model_dump_json(exclude_none=True) for cell in made]
    (stored.folder / "cells.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    stored.add_observations(
        each for cell in made if cell.role is CellRole.ARM for each in numbers(design, cell, state)
    )
    return rest


def result(cell: TrialCell) -> CellResult:
    pixels = sha(cell.key)
    return CellResult(
        cell=cell, picture=f"day/{pixels[:12]}.png", plan=pixels, record=pixels, pixels=pixels,
        effect=0.1, noise=sha(cell.seed), device="cpu", seconds=1.0,
    )  # fmt: skip


def numbers(
    design: TrialDesign, cell: TrialCell, state: np.random.RandomState
) -> Iterator[Observation]:
    for place, measure in enumerate(("contrast", "effect", "leak", "structure")):
        yield Observation(
            arm=cell.arm, prompt=cell.prompt, kind=cell.kind, seed=cell.seed, measure=measure,
            value=0.2 + place / 10 + cell.arm.step / 1_000 + state.normal(0, 0.05),
            picture=sha(cell.key), base_picture=sha(cell.of_base.key),
        )  # fmt: skip


def test_a_look_at_two_thousand_cells_is_quick_and_draws_only_what_is_due(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, drawings = long.events.parts, list[float]()

    def counted(*given: Any) -> Any:
        drawings.append(time.monotonic())
        return card_of(*given)

    monkeypatch.setattr("studio.ui.trials.report.card_of", counted)
    first = long.look("")
    assert "<svg" in first[parts.report]
    assert "data:image" not in first[parts.report], "pictures are links, never sent with the page"
    assert len(first[parts.report]) < 1_000_000
    seen = first[parts.seen]
    start = time.monotonic()
    again = long.look(seen)
    assert parts.report not in again, "what the page has is not sent again"
    assert time.monotonic() - start < QUICK
    assert len(drawings) == 1

    # While it goes on, pictures come faster than drawing the whole allows.
    reports = TrialReports(long.events._workspace, long.events.desk)
    name, pictures = long.stored.name, long.events.desk.standing(long.stored.name).pictures
    kept = reports.of(name, pictures, going=True)
    for cell in long.rest:
        long.stored.add_result(result(cell))
        pictures += 1
        start = time.monotonic()
        assert reports.of(name, pictures, going=True) is kept
        assert time.monotonic() - start < QUICK
    assert len(drawings) == 2
    last = reports.of(name, pictures, going=False)
    assert last is not None
    assert last is not kept, "the last word is always drawn"
    for cell in controls(long.stored.design()):
        long.stored.add_result(result(cell))
    start = time.monotonic()
    standing = long.events.desk.standing(name)
    assert (standing.state, standing.pictures) == (TrialState.OVER, 2_095)
    assert time.monotonic() - start < QUICK


def test_a_choice_of_a_long_trial_is_quick(long: Long, tmp_path: Path) -> None:
    """With a few hundred choices behind it, the next pair is still found at once."""
    design = long.stored.design()
    arms, state = design.arms, np.random.RandomState(2)
    for _ in range(300):
        one, other = state.choice(len(arms), 2, replace=False)
        left, right = (arms[int(each)] for each in sorted((one, other)))
        seed = int(state.choice(design.rule.seeds))
        duel = Duel(
            left=left, right=right, prompt="p1", seed=seed, choice="right", swapped=False, by="a"
        )
        long.stored.add_duel(duel)
    pictures = long.stored.outputs / "day"
    pictures.mkdir()
    for each in long.stored.results().values():
        (long.stored.outputs / str(each.picture)).touch()
    start = time.monotonic()
    found = next_duel(long.stored, "b")
    assert time.monotonic() - start < QUICK
    assert found is not None
    assert (found.number, found.open > 0) == (301, True)
