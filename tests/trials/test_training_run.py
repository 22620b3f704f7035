"""Files that trainers write, as runs: by what their headers claim, else by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath

import pytest

from studio.trials.training_run import TrainedFile, training_runs


def files(names: Mapping[str, Mapping[str, str]]) -> list[TrainedFile]:
    return [TrainedFile(PurePath("/run", name), metadata) for name, metadata in names.items()]


def named(*names: str) -> list[TrainedFile]:
    return files({name: {} for name in names})


@pytest.mark.parametrize(
    ("names", "when"),
    [
        (("ink-step00001500", "ink-step00000500", "ink"), ["500", "1,500", "last"]),
        (("ink-000004", "ink-000010", "ink"), ["epoch 4", "epoch 10", "last"]),
        (("ink_000001500", "ink_000000250"), ["250", "1,500"]),
        (
            ("ink-2026-01-02_03-04-05-save-1500-3-0", "ink-2026-01-02_02-04-05-save-500-1-0"),
            ["500", "1,500"],
        ),
        (("ink_step_20", "ink_step_3"), ["3", "20"]),
        (("ink 500 steps", "ink 1000 steps"), ["500", "1,000"]),
        (("ink_e2", "ink_e11"), ["epoch 2", "epoch 11"]),
        (
            ("checkpoint-1000/pytorch_lora_weights", "checkpoint-500/pytorch_lora_weights"),
            ["500", "1,000"],
        ),
    ],
)
def test_names_of_trainers(names: tuple[str, ...], when: list[str]) -> None:
    (run,) = training_runs(named(*(f"{name}.safetensors" for name in names)))
    assert [checkpoint.when for checkpoint in run.checkpoints] == when


def test_a_session_in_the_metadata_comes_before_names() -> None:
    one, other = ({"ss_session_id": number, "ss_steps": steps} for number, steps in
                  (("11", "100"), ("22", "100")))  # fmt: skip
    runs = training_runs(
        files(
            {
                "a.safetensors": one,
                "renamed.safetensors": {**one, "ss_steps": "40"},
                "a-000001.safetensors": other,
                "a-000002.safetensors": {**other, "ss_steps": "200"},
            }
        )
    )
    assert [[c.path.name for c in run.checkpoints] for run in runs] == [
        ["a-000001.safetensors", "a-000002.safetensors"],
        ["renamed.safetensors", "a.safetensors"],
    ]


def test_ai_toolkit_says_step_and_epoch_in_json() -> None:
    info = {"training_info": json.dumps({"step": 750, "epoch": 3})}
    (run,) = training_runs(files({"a.safetensors": info, "a_000000250.safetensors": {}}))
    assert [(c.step, c.epoch) for c in run.checkpoints] == [(250, None), (750, 3)]


def test_another_number_in_the_name_is_a_doubt() -> None:
    (run,) = training_runs(
        files({"a-step00000500.safetensors": {"ss_steps": "400"}, "a.safetensors": {}})
    )
    assert run.checkpoints[0].step == 400
    assert "500" in run.checkpoints[0].doubts[0]


@pytest.mark.parametrize(
    "metadata",
    [
        {"training_info": "[" * 5000},
        {"training_info": '{"step": [1]}'},
        {"training_info": '{"step": 1e99}'},
        {"ss_steps": "-5", "ss_epoch": "None"},
        {"ss_steps": "9" * 10_000},
        {"ss_session_id": "None"},
    ],
)
def test_a_claim_that_says_nothing_leaves_the_name(metadata: dict[str, str]) -> None:
    names = ("a_000000250.safetensors", "a_000000500.safetensors")
    (run,) = training_runs(files(dict.fromkeys(names, metadata)))
    assert [checkpoint.step for checkpoint in run.checkpoints] == [250, 500]


def test_single_files_and_other_folders_are_no_run() -> None:
    assert training_runs(named("x/a-000001.safetensors", "y/a-000002.safetensors")) == ()
    assert training_runs(named("style.safetensors", "pose.safetensors")) == ()
