"""What only some bases take, asked for on the command line."""

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("tiny_studio")

ASK = ("--base", "tiny", "--prompt", "a rocket", "--json")


def codes(cli: Cli, *arguments: object) -> list[str]:
    answer = cli("plan", *ASK, *arguments)
    assert answer.code == 2, answer.err
    return [item["code"] for item in answer.json["violations"]]


def test_settings_that_the_base_has_not_are_named(cli: Cli) -> None:
    found = codes(cli, "--mode", "base", "--true-cfg-scale", "2", "--max-sequence-length", "128")
    assert found == ["setting_not_supported"] * 2


def test_a_reference_belongs_to_an_edit(cli: Cli, tmp_path: Path) -> None:
    Image.new("RGB", (96, 96), "teal").save(tmp_path / "mine.png")
    assert codes(cli, "--mode", "base", "--reference", tmp_path / "mine.png") == [
        "reference_forbidden"
    ]
    assert codes(cli, "--mode", "reference_edit", "--reference", tmp_path / "mine.png") == [
        "mode_not_supported"
    ]


def test_a_file_that_is_no_picture_ends_the_command(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"<html>")
    answer = cli("plan", *ASK, "--mode", "base", "--reference", tmp_path / "mine.png")
    assert answer.code == 1
    assert answer.json["error"]["code"] == "reference"


def test_consent_is_for_a_chosen_lora(cli: Cli) -> None:
    lora = ("--mode", "lora", "--lora", "ink")
    assert cli("plan", *ASK, *lora, "--allow-partial", "wash").code == 64
    answer = cli("plan", *ASK, *lora, "--allow-partial", "ink")
    assert answer.code == 0
    assert "waived" not in answer.json["loras"][0], "it fits wholly, so nothing is left out"


def test_the_encoder_is_compel_where_nobody_says(cli: Cli) -> None:
    answer = cli("plan", *ASK, "--mode", "base")
    assert answer.json["prompt_encoder"] == "compel"
