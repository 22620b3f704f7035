"""``studio gallery``: what is on disk, filtered, and the index rebuilt from it."""

from pathlib import Path

import pytest

from studio.architecture import Mode
from tests.cli.conftest import Cli
from tests.support.cli_pictures import write_picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    write_picture(folder / "2026-01-31" / "one.png", seed=1)
    write_picture(folder / "2026-01-31" / "two.png", seed=2, mode=Mode.LORA_WITH_TRIGGER)
    return folder


def test_list_shows_every_picture(cli: Cli, pictures: Path) -> None:
    answer = cli("gallery", "list", "--output-dir", pictures, "--json")
    assert answer.code == 0
    assert answer.json["total"] == 2
    found = {item["seed"]: item for item in answer.json["pictures"]}
    assert found[1]["file"] == str(pictures / "2026-01-31" / "one.png")
    assert found[1]["mode"] == "base"
    assert found[2]["loras"] == ["ink"]
    people = cli("gallery", "list", "--output-dir", pictures)
    assert "2026-01-31/two.png" in people.out
    assert "2 of 2 pictures" in people.out


@pytest.mark.parametrize(
    ("arguments", "seeds"),
    [
        (("--lora", "ink"), [2]),
        (("--mode", "base"), [1]),
        (("--base", "tiny", "--words", "rocket BLUE"), [2, 1]),
        (("--words", "submarine"), []),
        (("--base", "other"), []),
    ],
)
def test_filters(cli: Cli, pictures: Path, arguments: tuple[str, ...], seeds: list[int]) -> None:
    answer = cli("gallery", "list", "--output-dir", pictures, *arguments, "--json")
    assert sorted(item["seed"] for item in answer.json["pictures"]) == sorted(seeds)


def test_limit_says_how_many_there_are(cli: Cli, pictures: Path) -> None:
    answer = cli("gallery", "list", "--output-dir", pictures, "--limit", 1, "--json")
    assert len(answer.json["pictures"]) == 1
    assert answer.json["total"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("--limit", "9" * 23),
        ("--limit", "0"),
        ("--words", "a\udcff"),
        ("--base", "\udcff"),
        ("--lora", "\udcff"),
    ],
)
def test_what_no_gallery_can_be_asked_ends_with_64(
    cli: Cli, pictures: Path, wrong: tuple[str, str]
) -> None:
    answer = cli("gallery", "list", "--output-dir", pictures, *wrong)
    assert answer.code == 64
    assert wrong[0] in answer.err
    assert "Traceback" not in answer.err


def test_outputs_come_from_the_environment(
    cli: Cli, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTPUTS", str(pictures))
    assert cli("gallery", "list", "--json").json["total"] == 2


def test_reindex_reads_every_file_again(cli: Cli, pictures: Path) -> None:
    (pictures / "stranger.png").write_bytes(b"no picture")
    answer = cli("gallery", "reindex", "--output-dir", pictures, "--json")
    assert answer.code == 0
    assert answer.json["read"] == 2
    (stranger,) = answer.json["unreadable"]
    assert stranger["file"].endswith("stranger.png")
    assert "2 pictures read" in cli("gallery", "reindex", "--output-dir", pictures).out


def test_an_empty_gallery_is_no_error(cli: Cli, tmp_path: Path) -> None:
    answer = cli("gallery", "list", "--output-dir", tmp_path / "new")
    assert answer.code == 0
    assert "0 of 0 pictures" in answer.out


def test_the_owner_of_a_page_deletes_what_is_on_it_by_name_or_link(
    cli: Cli, pictures: Path
) -> None:
    theirs = pictures / ".visitors" / "guests" / ("0" * 40)
    write_picture(theirs / "2026-01-31" / "three.png", seed=3)
    links = [
        "2026-01-31/one.png",
        f"https://page.example/gradio_api/file={theirs}/2026-01-31/three.png",
    ]
    assert cli("gallery", "remove", *links, "--output-dir", pictures).code == 0
    assert [path.name for path in pictures.rglob("2026-01-31/*.png")] == ["two.png"]
    assert cli("gallery", "remove", "../notes.png", "--output-dir", pictures).code == 1
    assert cli("gallery", "remove", links[0], "--output-dir", pictures).code == 1
