"""What a trial does with a budget of minutes, with a CLIP model, with people's choices, and with
two thousand cells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from studio.comparison.numbers import cosine
from studio.comparison.votes import ShownSide
from studio.errors import TrialError
from studio.trials.design import CellRole
from studio.trials.events import TrialEnd, TrialEnded
from studio.trials.observations import PromptKind
from studio.trials.report.verification import verify_card
from studio.trials.tournament import Duel
from studio.workspace.runs import Runs
from studio.workspace.trial_desk import MINI, TrialDesk, TrialState
from studio.workspace.trial_report import write_card, write_sheet
from studio.workspace.trial_voting import can_vote, next_duel
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace
from tests.support.tiny_clip import save_tiny_clip
from tests.workspace.test_trying import (
    begun,
    carried_out,
    real,
    run_folder,
    settings,
    wanted,
    workspace,
)

__all__ = ["real", "run_folder", "settings", "workspace"]


def test_no_picture_is_begun_after_the_minutes(workspace: Workspace, run_folder: Path) -> None:
    stored = begun(workspace, wanted(run_folder, minutes=0.1))
    events = carried_out(workspace, stored)
    # A simulated picture says that it took 1.71 s; the last control is made all the same.
    assert events[-1] == TrialEnded("run", TrialEnd.MINUTES, 5)
    roles = [each.cell.role for each in stored.results().values()]
    assert roles == [CellRole.BASE] * 4 + [CellRole.BASE_AGAIN]
    assert carried_out(workspace, stored)[-1] == events[-1], "carried on, nothing is added"


def test_a_clip_model_measures_text_and_likeness(
    real: Workspace, run_folder: Path, tmp_path: Path
) -> None:
    clip = save_tiny_clip(tmp_path / "clip")
    real.settings = replace(real.settings, clip_model=clip)
    holdout = tmp_path / "holdout"
    holdout.mkdir()
    for number in range(2):
        noise = Image.effect_noise((64, 64), 40 + 40 * number).convert("RGB")
        noise.save(holdout / f"{number}.png")
    with pytest.raises(TrialError, match="trained on"):
        Trying(real).design(wanted(run_folder, holdout=holdout, training=holdout))
    stored = begun(real, wanted(run_folder, seeds=1, far=(), fixed=False, holdout=holdout))
    model = real.clip_model()
    assert model is not None
    assert stored.design().clip_sha256 == model.identity.sha256
    assert [goal.measure for goal in stored.design().rule.goals] == ["likeness"]
    carried_out(real, stored)

    held = model.read([Image.open(path) for path in sorted(holdout.glob("*.png"))], []).images
    seen = [each for each in stored.observations() if each.measure in ("clip_text", "likeness")]
    assert {(each.measure, each.kind) for each in seen} == {
        (measure, kind)
        for measure in ("clip_text", "likeness")
        for kind in (PromptKind.TRIGGER, PromptKind.PLAIN)
    }
    for each in seen:
        own, base = (
            model.read([Image.open(real.gallery.with_pixels(str(sha))[0].path)], ["a rocket"])
            for sha in (each.picture, each.base_picture)
        )
        for read, value in ((own, each.value), (base, each.base)):
            (vector,), (text,) = read.images, read.texts
            expected = (
                cosine(vector, text)
                if each.measure == "clip_text" and text is not None
                else sum(cosine(vector, one) for one in held) / len(held)
            )
            assert value == pytest.approx(expected, abs=1e-4)
    _, card = write_sheet(real, stored)
    told = {each.name: each.models for each in card.measures}
    assert told["likeness"] == told["clip_text"] == (model.identity,)
    real.settings = replace(real.settings, clip_model=None)
    with pytest.raises(TrialError, match="CLIP"):
        carried_out(real, stored)


def choose_all(stored, by: str, best: str, most: int = 40) -> Iterator[Duel]:
    """Judge as somebody who likes one checkpoint, and is indifferent to the others."""
    for _ in range(most):
        found = next_duel(stored, by)
        if found is None:
            return
        names = (found.duel.left.checkpoint, found.duel.right.checkpoint)
        shown = names[::-1] if found.duel.swapped else names
        sides: tuple[ShownSide, ShownSide] = ("first", "second")
        side: ShownSide = "equal" if best not in names else sides[shown.index(best)]
        stored.add_duel(found.duel.chosen(side))
        yield found.duel


def test_people_choose_blind_and_the_sheet_says_what_of_it(
    workspace: Workspace, run_folder: Path
) -> None:
    stored = begun(workspace, wanted(run_folder, seeds=4, far=()))
    assert not can_vote(stored)
    assert next_duel(stored, "anna") is None
    carried_out(workspace, stored)
    assert can_vote(stored)
    judged = list(choose_all(stored, "anna", best="400"))
    assert {each.prompt for each in judged} == {"p1"}
    places = [(frozenset((each.left, each.right)), each.prompt, each.seed) for each in judged]
    assert len(places) == len(set(places)), "no pair of pictures is shown twice"
    assert len({each.swapped for each in judged}) == 2, "sides are drawn"
    list(choose_all(stored, "ben", best="400"))
    # As if the studio had been killed while a choice was written.
    before = stored.duels()
    with (stored.folder / "duels.jsonl").open("ab") as file:
        file.write(b'{"left":{"checkp')
    assert stored.duels() == before

    sheet, card = write_sheet(workspace, stored)
    arm = before[0].left if before[0].left.checkpoint == "400" else before[0].right
    chosen = card.model_copy(update={"chosen": arm})
    paths = write_card(workspace, chosen, stored.folder, stored.duels())
    for path in (sheet, *paths):
        text = path.read_text("utf-8")
        if path.suffix == ".html":
            assert verify_card(text, None).ok
            assert "Krippendorff" in text
            edited = text.replace('"choice":"left"', '"choice":"right"')
            codes = [each.code for each in verify_card(edited, None).findings]
            assert codes == ["page"], "an edited choice is found"
        elif path.suffix == ".md":
            assert "## What people chose, blind" in text
        else:
            assert verify_card(text, None).ok


def test_the_desk_finds_runs_and_its_trials_again(workspace: Workspace, run_folder: Path) -> None:
    runs = Runs(workspace)
    desk = TrialDesk(workspace, runs)
    assert [run.name for run in desk.offered()] == ["ink-run-mini"]
    assert desk.paths_of(str(MINI)) == (MINI,)
    assert len(desk.paths_of(f"{run_folder}/*step0000020*")) == 1
    with pytest.raises(TrialError):
        desk.paths_of("no/such/place")
    folder = workspace.settings.model_base_path / "loras" / "my-run"
    folder.mkdir(parents=True)
    for path in run_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    workspace.stock.catalogue.refresh()
    assert [run.name for run in desk.offered()] == ["ink-run-mini", "run"]
    found = desk.run_of(folder / "run-step00000200.safetensors")
    assert found is not None
    assert [each.step for each in found.checkpoints] == [100, 200, 300, 400]
    *_, told = desk.told(found)
    assert not isinstance(told, int)
    assert [next(iter(desk.told(found)))] == [told], "files are read once"

    design = desk.trying.design(wanted(folder, seeds=1), told)
    name = desk.begin(design)
    done = threading.Event()
    for _ in range(600):
        if not desk.standing(name).state.is_going:
            break
        done.wait(0.05)
    standing = desk.standing(name)
    assert (standing.state, standing.pictures, standing.most) == (TrialState.OVER, 11, 11)
    assert standing.ended is not None
    assert standing.ended.why is TrialEnd.SEEDS
    trials, problems = TrialDesk(workspace, Runs(workspace)).all()
    assert ([each.name for each in trials], problems) == ([name], ())
    broken = desk.trying.store.begin(design.model_copy(update={"name": "broken"}))
    (broken.folder / "trial.json").write_text("{}", encoding="utf-8")
    trials, problems = desk.all()
    assert ([each.name for each in trials], len(problems)) == ([name], 1)
    assert not desk.stop(name)
