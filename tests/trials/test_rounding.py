"""What a merge in bfloat16 would round away, against whole matrices; and where it is not told."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from studio.cli import app
from studio.engine.lora.build import difference
from studio.engine.lora.read import LoraFile, read_lora
from studio.inspection.fit import check_fit
from studio.library.files import hash_file
from studio.settings import Settings
from studio.trials import rounding
from studio.trials.rounding import BaseRows
from studio.trials.weights import weights_of
from studio.workspace.trial_desk import MINI
from studio.workspace.trial_files import the_run
from studio.workspace.trial_rounding import base_rows
from studio.workspace.workspace import Workspace
from tests.support.tiny import rewrite


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(
        Settings(
            model_base_path=tmp_path,
            outputs=tmp_path / "outputs",
            state=tmp_path / "state",
            device="cpu",
        )
    )


def exact(workspace: Workspace, file: LoraFile) -> float:
    """Over every row of every weight."""
    places = workspace.base_tensors("mini")
    shapes = {part: {name: each.shape for name, each in held.items()}
              for part, held in places.items()}  # fmt: skip
    lost = whole = 0.0
    for target in check_fit(file.inspection, shapes).placements:
        (slot,) = target.slots
        tensor = places[target.component][f"{slot.module}.weight"]
        with safe_open(tensor.file, framework="pt") as weights:
            base = weights.get_tensor(tensor.name).bfloat16().float()
        update = difference(file.layers[target.layer]).reshape(base.shape)
        kept = (base + update).bfloat16().float() - base
        lost += float((update - kept).double().square().sum())
        whole += float(update.double().square().sum())
    return (lost / whole) ** 0.5


def test_some_rows_say_what_all_of_them_do(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = the_run([MINI])
    path = Path(run.checkpoints[-1].path)
    wanted = exact(workspace, read_lora("any", path, hash_file(path).sha256))
    base = base_rows(workspace, run)
    assert isinstance(base, BaseRows)
    *_, sampled = weights_of(run, base)
    assert sampled.rounded == pytest.approx(wanted, rel=0.1)
    *_, again = weights_of(run, base)
    assert again.rounded == sampled.rounded
    monkeypatch.setattr(rounding, "ROWS", 10**6)
    every = base_rows(workspace, run)
    assert isinstance(every, BaseRows)
    *_, told = weights_of(run, every)
    assert told.rounded == pytest.approx(wanted, rel=1e-4)


def weaker(factor: float, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value * factor if ".lora_B." in name else value
            for name, value in state.items()}  # fmt: skip


def test_an_update_far_below_the_weights_is_lost(workspace: Workspace, tmp_path: Path) -> None:
    first = sorted(MINI.glob("*.safetensors"))[0]
    for step, factor in ((100, 1.0), (200, 1e-2), (300, 1e-5)):
        rewrite(first, tmp_path / f"run-step{step:08d}.safetensors", partial(weaker, factor))
    run = the_run([tmp_path])
    base = base_rows(workspace, run)
    assert isinstance(base, BaseRows)
    shares = [each.rounded or 0.0 for each in weights_of(run, base)]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[2] > 0.95


def test_the_command_says_it_or_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in sorted(MINI.glob("*.safetensors"))[:2]:
        shutil.copy(path, tmp_path / path.name)
    said = CliRunner().invoke(app, ["trial", "files", str(tmp_path), "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert "16 rows of each weight" in told["rounded"]
    assert all(0 < each["rounded"] < 0.1 for each in told["checkpoints"])
    said = CliRunner().invoke(app, ["trial", "files", str(tmp_path), "--base", "sdxl", "--json"])
    told = json.loads(said.stdout)
    assert "not on this disk" in told["rounded"]
    assert [each["rounded"] for each in told["checkpoints"]] == [None, None]
