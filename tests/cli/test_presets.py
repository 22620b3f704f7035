"""``studio presets``: problems are said, lists filter, imports explain themselves."""

import json
from pathlib import Path

import pytest

from studio.library.preset_files import load
from tests.cli.conftest import Cli

GOOD = """\
loras:
  - slug: my-ink
    label: My Ink
    base_architecture: sd15
    theme: Sketch
    path: loras/my-ink.safetensors
    prompt: myink
    trigger: required
"""
GUIDE = {
    "loras": [
        {
            "label": "Pen & Ink Illustration",
            "base_architecture": "zimage",
            "theme": "illustration",
            "air": "urn:air:zimageturbo:lora:civitai:2344335@2636956",
            "prompt": "phrsink, pen and ink illustration",
            "negative_prompt": "blurry ugly bad",
            "settings": {"strength": 0.7, "guidance_scale": 1.0, "clip_skip": 2},
            "notes": "Works best with simple compositions",
        }
    ]
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "ink.yaml").write_text(GOOD)
    return folder


def test_the_built_in_presets_are_sound(cli: Cli) -> None:
    answer = cli("presets", "check", "--json")
    assert answer.code == 0, answer.json["problems"]
    assert answer.json["problems"] == []
    assert answer.json["models"] > 5
    assert answer.json["loras"] > 5


def test_a_problem_is_said_with_its_place(cli: Cli, mine: Path) -> None:
    (mine / "bad.yaml").write_text(GOOD.replace("my-ink", "other").replace("theme", "thema"))
    answer = cli("presets", "check", "--presets", mine, "--json")
    assert answer.code == 1
    (problem,) = answer.json["problems"]
    assert problem["file"].endswith("bad.yaml")
    assert problem["line"] == 5
    assert problem["field"] == "thema"
    people = cli("presets", "check", "--presets", mine)
    assert people.code == 1
    assert "bad.yaml:5" in people.out
    assert "1 problem." in people.out


def test_list_filters_by_base_and_theme(cli: Cli, mine: Path) -> None:
    answer = cli("presets", "list", "--presets", mine, "--json")
    everything = answer.json
    assert answer.code == 0
    assert {"mini", "my-ink"} <= {p["slug"] for p in everything["models"] + everything["loras"]}
    sketches = cli(
        "presets", "list", "--presets", mine, "--base", "sd15", "--theme", "sketch", "--json"
    ).json
    assert "my-ink" in [lora["slug"] for lora in sketches["loras"]]
    assert {lora["base_architecture"] for lora in sketches["loras"]} == {"sd15"}
    assert {lora["theme"].lower() for lora in sketches["loras"]} == {"sketch"}
    assert {model["base_architecture"] for model in sketches["models"]} == {"sd15"}


def test_list_says_which_weights_are_there(cli: Cli, mine: Path) -> None:
    listed = cli("presets", "list", "--presets", mine, "--json").json
    present = {preset["slug"]: preset["present"] for preset in listed["models"] + listed["loras"]}
    assert present["mini"]
    assert not present["my-ink"]
    assert "my-ink" in cli("presets", "list", "--presets", mine).out


def test_list_refuses_an_unknown_base(cli: Cli) -> None:
    answer = cli("presets", "list", "--base", "sd16", "--json")
    assert answer.code == 1
    assert "sd16" in answer.json["error"]["message"]
    assert "sd15" in answer.json["error"]["way_out"]
    assert "sd15" in answer.err


def test_the_guides_file_becomes_yaml(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "presets.json").write_text(json.dumps(GUIDE))
    answer = cli("presets", "import", "presets.json", "--json")
    assert answer.code == 0, answer.json["problems"]
    assert answer.json["file"] == "presets.yaml"
    assert all(change["reason"] for change in answer.json["changes"])
    (tmp_path / "new").mkdir()
    (tmp_path / "presets.yaml").rename(tmp_path / "new" / "presets.yaml")
    catalog, problems = load([tmp_path / "new"])
    assert problems == ()
    (lora,) = catalog.loras.values()
    assert lora.settings.strength == 0.7


def test_an_import_writes_over_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "presets.json").write_text(json.dumps(GUIDE))
    (tmp_path / "mine.yaml").write_text("precious")
    refused = cli("presets", "import", "presets.json", "--output", "mine.yaml", "--json")
    assert refused.code == 1
    assert "mine.yaml" in refused.json["error"]["message"]
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    forced = cli("presets", "import", "presets.json", "--output", "mine.yaml", "--force")
    assert forced.code == 0
    assert "phrsink" in (tmp_path / "mine.yaml").read_text()


def test_what_cannot_be_read_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.json").write_text("{")
    for name in ("binary", "broken"):
        answer = cli("presets", "import", f"{name}.json", "--json")
        assert answer.code == 1
        assert answer.json["file"] is None
        assert answer.json["problems"]
        assert not (tmp_path / f"{name}.yaml").exists()


def test_an_import_needs_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("nowhere.json", "folder"):
        answer = cli("presets", "import", name, "--json")
        assert answer.code == 1
        assert name in answer.json["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_repin_needs_a_pin(cli: Cli) -> None:
    answer = cli("presets", "repin", "mini", "--json")
    assert answer.code == 1
    assert answer.json["error"]["code"] == "weights"
