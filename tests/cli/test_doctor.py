"""``studio doctor``: everything about an installation but the values of its keys."""

from pathlib import Path

import pytest

import studio
from tests.cli.conftest import Cli


def test_doctor_knows_the_installation(cli: Cli, tmp_path: Path) -> None:
    answer = cli("doctor", "--json")
    assert answer.code == 0, answer.json["problems"]
    found = answer.json
    assert found["versions"]["studio"] == studio.__version__
    assert found["versions"]["torch"]
    assert found["device"]
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert found["paths"]["OUTPUTS"]["path"] == str(tmp_path / "outputs")
    assert found["paths"]["MODEL_BASE_PATH"]["writable"]
    assert found["keys"] == {"CIVITAI_API_KEY": False, "HF_TOKEN": False}
    assert found["presets"]["models_with_weights"] >= 1
    assert found["problems"] == []


def test_keys_are_there_or_not_and_never_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "sesame-in-environment")
    (tmp_path / ".env").write_text("CIVITAI_API_KEY=sesame-in-file\n")
    for arguments in ((), ("--json",)):
        answer = cli("doctor", *arguments)
        assert answer.code == 0
        assert "sesame" not in answer.out + answer.err
    assert answer.json["keys"] == {"CIVITAI_API_KEY": True, "HF_TOKEN": True}


def test_a_problem_is_named_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bad.yaml").write_text("loras:\n  - label: nothing else\n")
    answer = cli("doctor", "--presets", "mine")
    assert answer.code == 1
    assert "bad.yaml" in answer.out
