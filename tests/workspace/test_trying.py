"""Trials on the embedded base: round by round, stopped and carried on, traced to the pictures."""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch import zeros_like

from studio.contract.request import Overrides
from studio.errors import TrialError
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.trials.design import CellRole
from studio.trials.events import CellOver, RoundOver, TrialEnd, TrialEnded, TrialEvent
from studio.trials.observations import PromptKind
from studio.trials.proof import broken, controls_done
from studio.trials.report.verification import verify_card
from studio.trials.store import StoredTrial, TrialStore
from studio.workspace.trial_design import TrialWanted
from studio.workspace.trial_report import (
    arm_named,
    card_of,
    preset_of,
    write_card,
    write_sheet,
)
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace
from tests.support.simulated_engine import SimulatedBackend
from tests.support.tiny import rewrite


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four checkpoints: nothing at all, two alike in every tensor, and another."""
    folder = tmp_path_factory.mktemp("run")
    ink = BUILT_IN_PRESETS / "mini" / "loras" / "pen-ink-mini.safetensors"
    nothing = folder / "run-step00000100.safetensors"
    rewrite(ink, nothing, lambda state: {name: zeros_like(each) for name, each in state.items()})
    for step in (200, 300):
        shutil.copy(ink, folder / f"run-step{step:08d}.safetensors")
    neon = ink.with_name("night-neon-mini.safetensors")
    shutil.copy(neon, folder / "run-step00000400.safetensors")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    models.mkdir()
    return Settings(
        model_base_path=models,
        outputs=tmp_path / "outputs",
        state=tmp_path / "state",
        preset_dirs=(),
        local_presets=tmp_path / "local.yaml",
        device="cpu",
    )


@pytest.fixture
def workspace(settings: Settings) -> Iterator[Workspace]:
    """Its pictures are made at once, without an engine."""
    opened = Workspace.open(settings, SimulatedBackend())
    yield opened
    opened.close()


@pytest.fixture
def real(settings: Settings) -> Iterator[Workspace]:
    opened = Workspace.open(settings)
    yield opened
    opened.close()


def wanted(folder: Path, **changes: object) -> TrialWanted:
    asked = TrialWanted(
        paths=(folder,),
        base="mini",
        subject=("a rocket",),
        far=("a duck",),
        trigger="ohwx",
        seeds=2,
        fixed=True,
        settings=Overrides(steps=1, width=64, height=64),
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def carried_out(
    workspace: Workspace, stored: StoredTrial, stop_after: int | None = None
) -> list[TrialEvent]:
    session, cancel = workspace.open_session(), threading.Event()
    events, made = list[TrialEvent](), 0
    for event in Trying(workspace).run(stored, session, cancel):
        events.append(event)
        made += isinstance(event, CellOver)
        if made == stop_after:
            cancel.set()
    workspace.close_session(session)
    return events


def begun(workspace: Workspace, asked: TrialWanted) -> StoredTrial:
    trying = Trying(workspace)
    design = trying.design(asked)
    assert trying.violations(design) == ()
    return trying.begin(design)


def test_a_trial_from_files_to_numbers_stopped_on_the_way(
    real: Workspace, run_folder: Path
) -> None:
    workspace = real
    trying = Trying(workspace)
    stored = begun(workspace, wanted(run_folder, seeds=1))
    design = stored.design()
    assert [each.same_as for each in design.checkpoints] == [None, None, "200", None]
    assert [each.inert for each in design.checkpoints] == [True, False, False, False]
    # Two checkpoints of their own and the base, three prompts, two controls.
    assert trying.forecast(design).most == 3 * 3 + 2

    events = carried_out(workspace, stored, stop_after=5)
    assert events[-1] == TrialEnded("run", TrialEnd.CANCELLED, 5)
    before = set(stored.results())
    events = carried_out(workspace, stored)
    assert isinstance(events[-1], TrialEnded)
    assert (events[-1].why, events[-1].pictures) == (TrialEnd.SEEDS, 11)
    again = {event.result.cell.key for event in events if isinstance(event, CellOver)}
    assert not again & before, "no picture is made twice"

    results = stored.results()
    assert broken(results) == ()
    assert controls_done(results)
    zero = next(each for each in results.values() if each.cell.role is CellRole.SCALE_ZERO)
    assert zero.pixels == results[zero.cell.of_base.key].pixels
    _check_numbers(workspace, stored)


def _check_numbers(workspace: Workspace, stored: StoredTrial) -> None:
    seen = stored.observations()
    effects = {
        step: [each for each in seen if each.measure == "effect" and each.arm.step == step]
        for step in (100, 200, 300, 400)
    }
    assert {len(each) for each in effects.values()} == {3}
    assert {each.value for each in effects[100]} == {0.0}, "nothing at all moves nothing"
    assert all(each.picture == each.base_picture for each in effects[100])
    assert min(each.value for each in effects[200]) > 0
    alike = [[each.picture for each in effects[step]] for step in (200, 300)]
    assert alike[0] == alike[1], "equal weights share their pictures"
    kinds = {each.kind for each in seen if each.measure == "contrast"}
    assert kinds == {PromptKind.TRIGGER}
    for each in effects[400]:
        (picture, *_) = workspace.gallery.with_pixels(each.picture)
        assert workspace.verify(picture.path).ok, "a number leads to a picture that verifies"


def test_pictures_of_the_gallery_are_not_made_again(
    workspace: Workspace, run_folder: Path
) -> None:
    asked = wanted(run_folder, seeds=1, far=())
    carried_out(workspace, begun(workspace, asked))
    other = begun(workspace, asked)
    assert other.name == "run-2"
    assert Trying(workspace).forecast(other.design()).found == 7
    carried_out(workspace, other)
    fresh = [each.cell.role for each in other.results().values() if not each.reused]
    assert fresh == [CellRole.BASE_AGAIN]


def test_rounds_follow_the_rule_and_a_budget_is_kept(
    workspace: Workspace, run_folder: Path
) -> None:
    asked = wanted(run_folder, seeds=4, fixed=False, images=16, far=())
    stored = begun(workspace, asked)
    assert stored.design().rule.first == 1
    events = carried_out(workspace, stored)
    assert [e.round.seeds for e in events if isinstance(e, RoundOver)] == [(0,), (0, 1)]
    assert isinstance(events[-1], TrialEnded)
    assert (events[-1].why, events[-1].pictures) == (TrialEnd.IMAGES, 14)
    assert [each.number for each in stored.rounds()] == [1, 2]
    assert carried_out(workspace, stored)[-1] == events[-1], "carried on, it ends where it ended"
    assert len(stored.rounds()) == 2


def test_what_a_trial_lacks_is_said_before_anything_is_made(
    workspace: Workspace, run_folder: Path, tmp_path: Path
) -> None:
    trying = Trying(workspace)
    for changes in (
        {"subject": ()},
        {"images": 10},
        {"by": "beauty"},
        {"trigger": "", "fixed": False},
        {"holdout": run_folder},
        {"plugins": ("studio.nowhere:TrialMeasure",)},
        {"paths": (run_folder / "run-step00000100.safetensors",)},
    ):
        with pytest.raises(TrialError):
            trying.design(wanted(run_folder, **changes))
    assert trying.store.names() == []


def test_what_is_taken_is_a_preset_with_a_card_that_verifies(
    workspace: Workspace, run_folder: Path
) -> None:
    stored = begun(workspace, wanted(run_folder))
    with pytest.raises(TrialError, match="Nothing was measured"):
        card_of(workspace, stored)
    carried_out(workspace, stored)
    sheet, card = write_sheet(workspace, stored)
    assert card.invalid == ()
    codes = {alarm.code: {arm.checkpoint for arm in alarm.arms} for alarm in card.findings.alarms}
    assert (codes["inert"], codes["twins"]) == ({"100"}, {"200", "300"})
    arm = arm_named(stored.design(), card, "400", None)
    with pytest.raises(TrialError, match="400 at 1"):
        arm_named(stored.design(), card, "500", None)

    preset, file = preset_of(workspace, stored, arm)
    assert file.is_relative_to(workspace.settings.model_base_path)
    assert (preset.settings.strength, preset.prompt) == (1.0, "ohwx")
    assert stored.design().fingerprint in preset.notes
    assert workspace.catalog.loras[preset.slug] == preset
    assert preset.slug == "run-400"
    again, _ = preset_of(workspace, stored, arm)
    assert again == preset, "taken twice, it is one preset"

    chosen = card.model_copy(update={"chosen": arm})
    paths = [sheet, *write_card(workspace, chosen, stored.folder)]
    for path in (each for each in paths if each.suffix != ".md"):
        answer = verify_card(path.read_text("utf-8"), workspace.gallery)
        assert answer.ok, answer.findings[:3]
        assert answer.found == len(card.pictures)
        assert str(run_folder) not in path.read_text("utf-8")


def test_one_trial_runs_once_at_a_time(workspace: Workspace, run_folder: Path) -> None:
    stored = begun(workspace, wanted(run_folder))
    session = workspace.open_session()
    running = Trying(workspace).run(stored, session, threading.Event())
    next(running)
    with pytest.raises(TrialError, match="running"):
        next(Trying(workspace).run(stored, session, threading.Event()))
    running.close()


KILLED = """
import sys, threading
from pathlib import Path
from studio.settings import Settings
from studio.trials.events import CellOver
from studio.workspace.trial_report import (
    arm_named,
    card_of,
    preset_of,
    write_card,
    write_sheet,
)
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace
from tests.support.simulated_engine import SimulatedBackend

models, outputs, state = map(Path, sys.argv[1:])
settings = Settings(model_base_path=models, outputs=outputs, state=state, device="cpu")
workspace = Workspace.open(settings, SimulatedBackend())
trying = Trying(workspace)
made = 0
for event in trying.run(trying.store.open("run"), workspace.open_session(), threading.Event()):
    made += isinstance(event, CellOver)
    if made == 4:
        print("made", flush=True)
        threading.Event().wait()
"""


def test_a_killed_trial_goes_on(
    workspace: Workspace, settings: Settings, run_folder: Path
) -> None:
    stored = begun(workspace, wanted(run_folder, seeds=1))
    places = (settings.model_base_path, settings.outputs, settings.state)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, places)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "made\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    # As if it had been killed while it wrote a line.
    with (stored.folder / "cells.jsonl").open("ab") as file:
        file.write(b'{"cell":{"role"')
    assert len(stored.results()) == 4
    events = carried_out(workspace, stored)
    assert isinstance(events[-1], TrialEnded)
    assert events[-1].pictures == 11
    assert sum(isinstance(event, CellOver) for event in events) == 7
    assert TrialStore(settings.outputs).names() == ["run"]
    assert broken(stored.results()) == ()
