"""The library by command line: files that come, move, are replaced and go, between two calls."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.library.test_library import lora_file


def test_files_and_presets_are_followed_from_call_to_call(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "models"
    monkeypatch.setenv("MODEL_BASE_PATH", str(root))
    monkeypatch.setenv("LOCAL_PRESETS", str(tmp_path / "local.yaml"))

    def slugs() -> dict[str, str]:
        files = cli("weights", "scan", "--json").json["files"]
        return {file["path"]: ", ".join(file["presets"]) or file["slug"] for file in files}

    place = lora_file(root / "loras/ink.safetensors")
    lora_file(root / "loras/wash.safetensors", 1)
    assert slugs() == {"loras/ink.safetensors": "ink", "loras/wash.safetensors": "wash"}
    (root / "other").mkdir()
    place = place.rename(root / "other/blue.safetensors")
    assert slugs() == {"loras/wash.safetensors": "wash", "other/blue.safetensors": "ink"}
    lora_file(place, 7)
    assert slugs()["other/blue.safetensors"] == "ink"
    both = (place, root / "loras/wash.safetensors")
    made = cli("presets", "add", *both, "other/none.safetensors", "--yes", "--json")
    assert made.code == 1, "one of three is not there, the others are made"
    assert [line["preset"]["slug"] for line in made.lines] == ["ink", "wash"]
    (tmp_path / "local.yaml").write_text(
        (tmp_path / "local.yaml").read_text().replace("slug: wash", "slug: renamed")
    )
    assert slugs()["loras/wash.safetensors"] == "renamed"
    place.unlink()
    assert slugs() == {"loras/wash.safetensors": "renamed"}
