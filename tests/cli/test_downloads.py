"""Download, scan, check and add on the command line, from a site on loopback."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support.sites import KEY, Answer, Site, serving

PRESETS = """
models:
  - slug: tiny
    label: Tiny
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: sd15
    settings: {steps: 2, guidance_scale: 3.0, default_width: 64, default_height: 64,
               dtype: float32, scheduler: DDIMScheduler}
loras:
  - {label: Ink, base_architecture: sd15, air: "urn:air:sd1:lora:civitai:1000@7"}
"""
REQUEST = ("--base", "tiny", "--prompt", "a rocket", "--seed", "7")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def studio(
    site: Site,
    tmp_path: Path,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A studio with a base, and a LoRA preset that has nothing but its AIR."""
    models = tmp_path / "models"
    shutil.copytree(tiny_base, models / "base")
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/tiny.yaml").write_text(PRESETS)
    site.publish(7, tiny_loras["plain"].read_bytes(), name="Pen & Ink v1.safetensors")
    for name, value in {
        "MODEL_BASE_PATH": models,
        "PRESETS": tmp_path / "presets",
        "LOCAL_PRESETS": tmp_path / "local.yaml",
        "CIVITAI_BASE_URL": site.url,
        "DOWNLOAD_HOSTS": site.storage_url,
        "CIVITAI_API_KEY": KEY,
        "HF_ENDPOINT": site.url,
        "DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(name, str(value))
    return models


PLACE = "loras/sd15/Pen-Ink-v1.safetensors"


def test_from_nothing_but_an_air_to_an_image(cli: Cli, studio: Path, site: Site) -> None:
    done = cli("generate", *REQUEST, "--lora", "ink", "--mode", "lora")
    assert done.code == 0, done.err
    assert "from CivitAI, version 7, SHA-256" in done.out
    assert (studio / PLACE).is_file()
    facts = json.loads((studio / PLACE).with_suffix(".json").read_text())
    assert facts["trained_words"] == ["phrsink", "pen and ink illustration"]
    again = cli("generate", *REQUEST, "--lora", "ink", "--mode", "lora")
    assert again.code == 0
    assert len(site.asked("storage")) == 1
    assert KEY not in done.out + done.err + again.out
    kept = [path for path in studio.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".png" for path in kept)
    assert [path.name for path in kept if KEY.encode() in path.read_bytes()] == []


def test_a_plan_fetches_nothing_and_tells_the_way(cli: Cli, studio: Path, site: Site) -> None:
    told = cli("plan", *REQUEST, "--lora", "ink", "--mode", "lora", "--json")
    assert told.code == 2
    (violation,) = told.json["violations"]
    assert violation["code"] == "weights_missing"
    assert "`studio download ink`" in violation["way_out"]
    assert site.seen == []


def test_where_runs_may_not_fetch_they_say_so(
    cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTO_DOWNLOAD", "0")
    assert cli("generate", *REQUEST, "--lora", "ink", "--mode", "lora").code == 2
    assert site.seen == []


def test_what_fails_on_the_way_ends_the_command(cli: Cli, site: Site, studio: Path) -> None:
    site.answers["api:/api/download/models/7"] = Answer.of(410, {"error": "archived"})
    failed = cli("generate", *REQUEST, "--lora", "ink", "--mode", "lora", "--json")
    assert failed.code == 1
    assert failed.json["error"]["code"] == "archived"
    assert not (studio / "loras/sd15").exists() or not list((studio / "loras/sd15").iterdir())


@pytest.mark.parametrize("what", ["ink", "urn:air:sd1:lora:civitai:1000@7", "link"])
def test_download_by_slug_air_or_link(cli: Cli, studio: Path, site: Site, what: str) -> None:
    text = f"{site.url}/models/1000?modelVersionId=7" if what == "link" else what
    shown = cli("download", text, "--plan", "--json")
    assert shown.json["plan"]["target"] == PLACE
    assert not (studio / PLACE).exists()
    done = cli("download", text, "--json")
    assert done.code == 0, done.err
    assert done.json["path"] == str(studio / PLACE)
    assert cli("download", text, "--json").json["already"]


def test_add_makes_a_working_preset_of_a_link(
    cli: Cli, studio: Path, site: Site, tmp_path: Path
) -> None:
    before = (tmp_path / "presets/tiny.yaml").read_bytes()
    link = f"{site.url}/models/1000/pen-and-ink?modelVersionId=7"
    refused = cli("presets", "add", link)
    assert refused.code == 1
    assert "--yes" in refused.err
    assert not (tmp_path / "local.yaml").exists()
    added = cli("presets", "add", link, "--strength", "0.6", "--yes", "--json")
    assert added.code == 0, added.err
    preset = added.json["preset"]
    assert preset["slug"] == "pen-ink"
    assert preset["air"] == "urn:air:sd1:lora:civitai:1000@7"
    assert preset["prompt"] == "phrsink, pen and ink illustration"
    assert preset["settings"] == {"strength": 0.6}
    assert preset["path"] == PLACE
    assert (tmp_path / "presets/tiny.yaml").read_bytes() == before
    done = cli("generate", *REQUEST, "--lora", "pen-ink", "--mode", "lora_with_trigger", "--json")
    assert done.code == 0, done.err
    assert done.json["record"]["plan"]["loras"][0]["sha256"] == preset["sha256"]


def test_add_a_file_and_take_it_out_again(
    cli: Cli, studio: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    (studio / "mine").mkdir()
    shutil.copy(tiny_loras["other"], studio / "mine/other.safetensors")
    file = studio / "mine/other.safetensors"
    unsure = cli("presets", "add", file, "--yes")
    assert unsure.code == 1
    assert "--base-architecture" in unsure.err
    added = cli("presets", "add", file, "--base-architecture", "sd15", "--yes", "--json")
    assert added.code == 0, added.err
    assert added.json["preset"]["path"] == "mine/other.safetensors"
    assert added.json["preset"]["trigger"] == "none"
    assert "alternatives" not in added.json["preset"]
    words = ("--slug", "either", "--prompt", "one, two", "--alternatives")
    either = cli("presets", "add", file, *words, "--base-architecture", "sd15", "--yes", "--json")
    assert either.json["preset"]["alternatives"] is True
    assert cli("generate", *REQUEST, "--lora", "other", "--mode", "lora").code == 0
    assert cli("presets", "remove", "other").code == 0
    assert file.is_file()
    assert cli("presets", "remove", "ink").code == 1
    outside = cli("presets", "add", tiny_loras["plain"], "--base-architecture", "sd15", "--yes")
    assert "MODEL_BASE_PATH" in outside.err


def test_scan_knows_files_and_looks_others_up(
    cli: Cli, studio: Path, site: Site, tiny_loras: dict[str, Path]
) -> None:
    assert cli("download", "ink").code == 0
    shutil.copy(tiny_loras["other"], studio / "loose.safetensors")
    site.publish(9, tiny_loras["other"].read_bytes(), model=2000, name="other.safetensors")
    (studio / "broken.safetensors").write_bytes(b"<html>")
    found = cli("weights", "scan", "--json")
    assert found.code == 1  # for the broken one
    files = {file["path"]: file for file in found.json["files"]}
    assert set(files) == {PLACE, "loose.safetensors", "broken.safetensors"}
    assert files[PLACE]["presets"] == ["ink"]
    assert files["loose.safetensors"]["presets"] == []
    assert files["loose.safetensors"]["sha256"] is None
    assert "web page" in files["broken.safetensors"]["problem"]
    (studio / "broken.safetensors").unlink()
    looked = cli("library", "identify", "--json")
    files = {file["path"]: file for file in looked.json["files"]}
    assert files["loose.safetensors"]["civitai"]["model_name"] == "Pen & Ink"
    site.list_version(2000, 9, "SD 1.5", day=9)
    site.list_version(2000, 12, "SD 1.5", day=12, name="v12")
    assert cli("library", "news", "--json").json["files"] == [], "asked a moment ago"
    assert "Pen & Ink" in cli("library", "identify").out
    twin = shutil.copy(tiny_loras["other"], studio / "twin.safetensors")
    same = cli("library", "duplicates", "--json").json["same_file"]
    assert same == [["loose.safetensors", "twin.safetensors"]]
    Path(twin).unlink()
    added = cli("presets", "add", studio / "loose.safetensors", "--yes", "--json")
    assert added.json["preset"]["air"] == "urn:air:sd1:lora:civitai:2000@9"
    assert "none is without a preset" in cli("weights", "scan").out


def test_verify_reads_again(cli: Cli, studio: Path) -> None:
    assert cli("download", "ink").code == 0
    good = cli("weights", "verify", "ink", "--json")
    assert good.code == 0
    assert good.json["ok"]
    data = bytearray((studio / PLACE).read_bytes())
    data[-1] ^= 1
    (studio / PLACE).write_bytes(bytes(data))
    bad = cli("weights", "verify")
    assert bad.code == 1
    assert "changed  ink" in bad.out


def test_prune_shows_first_and_keeps_weights(cli: Cli, studio: Path) -> None:
    assert cli("download", "ink").code == 0
    (studio / ".x.safetensors.lora-studio.part").write_bytes(b"half")
    (studio / ".model.lora-studio.part").mkdir()
    (studio / ".model.lora-studio.part/a").write_bytes(b"half")
    (studio / ".another.part").write_bytes(b"another program's")
    (studio / "lost.json").symlink_to(studio / "nowhere")
    shutil.copy((studio / PLACE).with_suffix(".json"), studio / "gone.json")
    (studio / "someone.json").write_text("{}")
    shown = cli("weights", "prune", "--json")
    paths = {each["path"] for each in shown.json["leftovers"]}
    assert paths == {".x.safetensors.lora-studio.part", ".model.lora-studio.part", "gone.json"}
    assert (studio / "gone.json").exists()
    assert cli("weights", "prune", "--yes").code == 0
    assert not any((studio / path).exists() for path in paths)
    assert (studio / PLACE).exists()
    assert (studio / "someone.json").exists()
    assert (studio / ".another.part").exists()


def test_a_published_label_that_contradicts_stops_the_run(
    cli: Cli, studio: Path, site: Site
) -> None:
    site.versions["7"]["baseModel"] = "SDXL 1.0"
    refused = cli("download", "ink")
    assert refused.code == 1
    assert "SDXL 1.0" in refused.err
    site.versions["7"]["baseModel"] = "SD 1.5"
    assert cli("download", "ink").code == 0
    facts = (studio / PLACE).with_suffix(".json")
    facts.write_text(facts.read_text().replace("SD 1.5", "SDXL 1.0"))
    told = cli("plan", *REQUEST, "--lora", "ink", "--mode", "lora", "--json")
    (violation,) = told.json["violations"]
    assert violation["code"] == "published_conflict"
    assert "SDXL 1.0" in violation["evidence"][0]
    assert facts.name in violation["way_out"]
    facts.unlink()
    assert cli("plan", *REQUEST, "--lora", "ink", "--mode", "lora").code == 0
