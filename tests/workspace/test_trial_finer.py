"""The finer strength as an axis of a trial: from what is typed to the preset and its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from studio.architecture import Mode
from studio.cli import app
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import UnknownPart
from studio.errors import TrialError
from studio.trials.observations import TrialArm
from studio.trials.proof import broken
from studio.trials.report.card import write
from studio.trials.report.verification import verify_card
from studio.trials.words import arm_name, sentences
from studio.workspace.trial_report import arm_named, card_of, preset_of, write_sheet
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace
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

TYPED = ("none", "until=1:mid=0", "mid=0.0:until=1")
"""Two of them say the same."""


def test_each_strength_is_tried_with_each_finer_one(
    workspace: Workspace, run_folder: Path
) -> None:
    asked = wanted(run_folder, seeds=1, far=(), strengths=(0.5, 1.0), finer=TYPED)
    trying = Trying(workspace)
    design = trying.design(asked)
    assert design.finer == ("", "mid=0.0:until=1")
    assert design.format == 2
    # Two checkpoints of their own at two strengths, each in two ways, and the base; two prompts.
    assert trying.forecast(design).most == (2 * 2 * 2 + 1) * 2 + 2
    assert trying.design(wanted(run_folder)).format == 1, "an earlier studio reads it"
    with pytest.raises(TrialError, match="no finer strength"):
        trying.design(wanted(run_folder, finer=("0.4",)))
    unknown = trying.violations(trying.design(wanted(run_folder, finer=("nose=1",))))
    assert {type(each) for each in unknown} == {UnknownPart}

    stored = begun(workspace, asked)
    carried_out(workspace, stored)
    results = stored.results()
    assert len(results) == 20
    assert broken(results) == ()
    ways = {(each.arm.checkpoint, each.arm.strength, each.arm.finer)
            for each in stored.observations() if each.arm.step}  # fmt: skip
    # The file of nothing and the one that equals another show what they would.
    assert ways == {
        (name, strength, finer)
        for name in ("100", "200", "300", "400")
        for strength in (0.5, 1.0)
        for finer in design.finer
    }
    sheet, card = write_sheet(workspace, stored)
    shown = sheet.read_text("utf-8")
    assert "Pictures at strength 0.5 (mid=0, until=1)" in shown
    assert card.findings.leader is not None
    assert arm_name(card.findings.leader.arm) in " ".join(sentences(card.findings))


def test_what_is_taken_runs_as_it_was_tried_and_its_card_is_checked_for_it(
    real: Workspace, run_folder: Path
) -> None:
    asked = wanted(run_folder, seeds=1, far=(), trigger="", by="effect", finer=TYPED[:2])
    stored = begun(real, asked)
    carried_out(real, stored)
    assert broken(stored.results()) == ()
    card = card_of(real, stored)
    with pytest.raises(TrialError, match=r"400 at 1 \(mid=0, until=1\)"):
        arm_named(stored.design(), card, "400", 1.0, "te=0")
    arm = arm_named(stored.design(), card, "400", 1.0, "until=1:mid=0")
    chosen = card.model_copy(update={"chosen": arm})
    answer = verify_card(write(chosen), real.gallery)
    assert answer.ok, answer.findings
    assert answer.found == len(card.pictures) == 5

    # A card that calls the plain arm's pictures the other's, and the other way round.
    plain = arm.model_copy(update={"finer": ""})
    swapped: dict[TrialArm | None, TrialArm] = {arm: plain, plain: arm}
    pictures = tuple(
        each.model_copy(update={"arm": swapped.get(each.arm, each.arm)}) for each in card.pictures
    )
    forged = verify_card(write(card.model_copy(update={"pictures": pictures})), real.gallery)
    assert {each.code for each in forged.findings} == {"picture"}
    assert len(forged.findings) == 2

    preset, _ = preset_of(real, stored, arm)
    assert (preset.settings.parts, preset.settings.last_step) == ({"mid": 0.0}, 1)
    assert "at strength 1 (mid=0, until=1)" in preset.notes
    request = GenerationRequest(
        base="mini",
        mode=Mode.LORA,
        prompt="a rocket",
        seed=0,
        loras=(LoraChoice(slug=preset.slug),),
    )
    plan = real.plan(request)
    assert isinstance(plan, RunPlan)
    assert plan.loras[0].finer == arm.finer


def test_the_command_line_takes_it(run_folder: Path, tmp_path: Path) -> None:
    options = [
        str(run_folder), "--base", "mini", "--prompt", "a rocket", "--trigger", "ohwx",
        "--output-dir", str(tmp_path), "--steps", "2", "--seeds", "1", "--fixed",
        "--finer-strengths", "none,mid=0:until=1",
    ]  # fmt: skip
    said = CliRunner().invoke(app, ["trial", "plan", *options, "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert told["design"]["finer"] == ["", "mid=0.0:until=1"]
    assert told["forecast"]["most"] == (2 * 2 + 1) * 2 + 2
    said = CliRunner().invoke(app, ["trial", "plan", *options])
    assert "1, 1 (mid=0, until=1)" in said.stdout
    options[-1] = "mid"
    said = CliRunner().invoke(app, ["trial", "plan", *options, "--json"])
    assert said.exit_code != 0
    assert "te=0.4:until=6" in said.output
