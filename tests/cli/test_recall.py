"""``studio recall``: from any tool's picture to one of our own."""

import shutil
from pathlib import Path

import pytest

from studio.library.files import hash_file, read_header
from tests.cli.conftest import Cli
from tests.support import foreign_pictures as made

pytestmark = pytest.mark.usefixtures("tiny_studio")

PICTURE = "a rocket <lora:INK:0.7>\nSteps: 2, Sampler: Euler a, CFG scale: 3, Seed: 5, Size: 64x64"


def foreign(folder: Path, *more: str) -> Path:
    path = folder / "foreign.png"
    path.write_bytes(made.png({"parameters": ", ".join((PICTURE, *more))}))
    return path


def test_a_foreign_picture_becomes_one_of_ours(cli: Cli, tmp_path: Path) -> None:
    file = foreign(tmp_path, "Model: tiny.safetensors")
    answer = cli("recall", file, "--generate", "--json")
    assert answer.code == 0, answer.out + answer.err
    found, outcome = answer.lines
    assert (found["verified"], found["missing"]) == (False, [])
    assert [(each["slug"], each["by"]) for each in found["matched"]] == [
        ("tiny", "name"),
        ("ink", "name"),
    ]
    assert outcome["record"]["receipt"]["image"]["seed"] == 5
    assert outcome["record"]["receipt"]["scheduler"] == "EulerAncestralDiscreteScheduler"
    again = cli("recall", outcome["images"][0], "--json")
    assert again.code == 0
    own, plan = again.lines
    assert (own["verified"], own["tool"]) == (True, "LoRA Studio")
    assert {each["by"] for each in own["matched"]} == {"SHA-256"}
    assert plan["fingerprint"] == outcome["record"]["plan_fingerprint"]


def test_a_hash_finds_the_file_and_another_content_is_none_of_that_name(
    cli: Cli, tmp_path: Path, tiny_place: Path
) -> None:
    ink = tiny_place / "ink.safetensors"
    autov3 = str(hash_file(ink, read_header(ink).size).autov3)
    file = foreign(tmp_path, "Model: tiny", f'Lora hashes: "INK: {autov3}"')
    (found, _) = cli("recall", file, "--json").lines
    assert [each["by"] for each in found["matched"]] == ["name", "AutoV3"]
    file = foreign(tmp_path, "Model: tiny", f'Lora hashes: "INK: {"0" * 12}"')
    (found, _) = cli("recall", file, "--json").lines
    assert [each["name"] for each in found["missing"]] == ["INK"]
    assert found["request"]["loras"] == []


def test_a_base_that_is_not_here_ends_with_2_and_a_way_out(cli: Cli, tmp_path: Path) -> None:
    answer = cli("recall", foreign(tmp_path, "Model: dreamy", "Model hash: 1a1a1a1a1a"))
    assert answer.code == 2
    assert "1a1a1a1a1a" in answer.err


def test_a_contact_sheet_asks_its_comparison_again(cli: Cli, tmp_path: Path) -> None:
    ask = ("--base", "tiny", "--lora", "ink", "--mode", "lora_with_trigger", "--steps", "1")
    what = ("--prompt", "a rocket", "--seed", "3", "--kind", "strengths", "--strengths", "0.5,1")
    made = cli("compare", *ask, *what, "--json").json
    found, plan = cli("recall", made["sheet"], "--json").lines
    assert (found["verified"], found["missing"]) == (True, [])
    assert found["comparison"] == made["record"]["wanted"]
    assert plan["fingerprint"] == made["record"]["plan_fingerprint"]
    assert plan["forecast"]["found"] == plan["forecast"]["cells"], "all of it is in the gallery"
    again = cli("recall", made["sheet"], "--generate", "--json").lines[1]
    assert again["record"]["plan_fingerprint"] == plan["fingerprint"]
    data = bytearray(Path(made["sheet"]).read_bytes())
    data[-30] ^= 1
    broken = tmp_path / "broken.png"
    broken.write_bytes(data)
    assert cli("recall", broken, "--json").code == 1


def test_a_record_that_was_edited_is_not_called_verified(cli: Cli, tmp_path: Path) -> None:
    ask = ("--base", "tiny", "--mode", "base", "--prompt", "a rocket", "--steps", "2")
    path = Path(cli("generate", *ask, "--json").json["images"][0])
    changed = tmp_path / "changed.png"
    changed.write_bytes(path.read_bytes().replace(b"Steps: 2", b"Steps: 3"))
    assert cli("recall", changed, "--json").code == 1  # its checksums break first
    shutil.copy(path, changed)
    assert cli("recall", changed, "--json").lines[0]["verified"] is True


def test_what_says_nothing_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bare.png"
    path.write_bytes(made.png({}))
    answer = cli("recall", path, "--json")
    assert (answer.code, answer.json["error"]["code"]) == (1, "recall")
    assert cli("recall", tmp_path / "none.png").code == 1
