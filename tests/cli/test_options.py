"""What only some bases take, asked for on the command line."""

from pathlib import Path

import pytest
from PIL import Image

from studio.settings import BUILT_IN_PRESETS
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


def test_trigger_words_are_those_of_a_chosen_lora(cli: Cli) -> None:
    asked = (*ASK, "--mode", "lora_with_trigger", "--lora", "ink", "--trigger-words")
    answer = cli("plan", *asked, "ink=pen and ink illustration")
    assert answer.json["triggers"][0]["words"] == ["pen and ink illustration"], answer.err
    assert [cli("plan", *asked, words).code for words in ("wash=x", "ink")] == [64, 64]
    assert codes(cli, *asked[len(ASK) :], "ink=charcoal") == ["phrases_refused"]


def test_the_encoder_is_compel_where_nobody_says(cli: Cli) -> None:
    answer = cli("plan", *ASK, "--mode", "base")
    assert answer.json["prompt_encoder"] == "compel"


def test_a_file_is_named_by_its_path(cli: Cli, tiny_place: Path, tmp_path: Path) -> None:
    planned = ("plan", "--prompt", "a rocket", "--mode", "lora", "--json")
    inside = cli(*planned, "--base", tiny_place / "base", "--lora", "ink.safetensors:0.5")
    assert inside.code == 0, inside.err
    (use,) = inside.json["loras"]
    assert (use["slug"], use["strength"]["value"]) == ("ink", 0.5)
    assert inside.json["base"]["slug"] == "tiny"
    shipped = BUILT_IN_PRESETS / "mini/loras/pen-ink-mini.safetensors"
    outside = tmp_path / "My Own.safetensors"
    outside.write_bytes(shipped.read_bytes()[:-4] + b"\0\0\0\0")
    found = cli(*planned, "--base", "mini", "--lora", outside)
    assert found.code == 0, found.err
    (use,) = found.json["loras"]
    assert use["slug"] == "my-own"
    assert use["source"] == "local"
    (tmp_path / "old.safetensors").write_bytes(b"<html>")
    broken = cli(*planned, "--base", "mini", "--lora", tmp_path / "old.safetensors")
    assert broken.code == 1
    assert broken.json["error"]["code"] == "presets"
    (tmp_path / "old.pt").write_bytes(b"\x80\x02")
    pickled = cli(*planned, "--base", "mini", "--lora", tmp_path / "old.pt")
    assert pickled.code == 1
    assert "old.pt" in pickled.json["error"]["message"]


def test_many_files_become_presets_at_once(
    cli: Cli, tiny_studio: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = BUILT_IN_PRESETS / "mini/loras/pen-ink-mini.safetensors"
    monkeypatch.setenv("MODEL_BASE_PATH", str(tmp_path / "mine"))
    monkeypatch.setenv("LOCAL_PRESETS", str(tmp_path / "local.yaml"))
    for number in range(2):
        folder = tmp_path / f"mine/loras/{number}"
        folder.mkdir(parents=True)
        (folder / "one.safetensors").write_bytes(shipped.read_bytes()[:-1] + bytes([number]))
    (tmp_path / "mine/broken.safetensors").write_bytes(b"<html>")
    names = ("loras/0/one.safetensors", "loras/1/one.safetensors", "broken.safetensors")
    added = cli("presets", "add", *names, "--yes", "--json")
    assert added.code == 1
    made = [line["preset"] for line in added.lines]
    assert {(each["slug"], each["path"]) for each in made} == {
        ("one", "loras/0/one.safetensors"),
        ("one-2", "loras/1/one.safetensors"),
    }
    assert "broken.safetensors" in added.err
