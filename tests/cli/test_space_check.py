"""``studio doctor --space``: what keeps a checkout from running as a Space."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from studio.cli.space_check import SpaceKind, faults, read_front_matter
from studio.library.preset_files import load
from studio.settings import BUILT_IN_PRESETS, Settings
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
CATALOG, _ = load((BUILT_IN_PRESETS,), BUILT_IN_PRESETS / "none.yaml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("README.md", "requirements.txt", "pre-requirements.txt", "app.py"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def found(kind: SpaceKind, root: Path, **settings: object) -> str:
    own = replace(Settings.from_env({"GPU_BASES": "mini"}, Path.cwd()), **settings)  # type: ignore[arg-type]
    return "\n".join(f"{each.found} {each.way_out}" for each in faults(kind, root, own, CATALOG))


@pytest.mark.parametrize("kind", SpaceKind)
def test_this_checkout_runs_as_any_space(kind: SpaceKind, checkout: Path) -> None:
    bases = ("mini",) if kind is SpaceKind.ZERO else ()
    assert found(kind, checkout, gpu_bases=bases) == ""


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("README.md", "---\ntitle", "title", "no front matter"),
        ("README.md", "sdk: gradio", "sdk: static", "sdk is not gradio"),
        ("README.md", "app_file: app.py", "app_file: page.py", "app_file names no file"),
        ("README.md", '"3.12"', '"3.11"', "does not run Python 3.11"),
        ("README.md", "A studio for LoRAs;", "A studio for LoRAs, and so on;", "characters"),
        ("pre-requirements.txt", "<2.12", "<2.14", "keep torch"),
        ("pre-requirements.txt", "torch>=", "# torch>=", "keep torch"),
    ],
)
def test_what_is_wrong_is_named(
    checkout: Path, name: str, before: str, after: str, said: str
) -> None:
    text = (checkout / name).read_text(encoding="utf-8")
    assert before in text
    (checkout / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    assert said in found(SpaceKind.ZERO, checkout)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"auto_download": True}, "AUTO_DOWNLOAD"),
        ({"public": False}, "PUBLIC"),
        ({"gpu_bases": ()}, "GPU_BASES is not set"),
        ({"gpu_bases": ("nothing",)}, "'nothing'"),
        ({"gpu_bases": ("sdxl-base",)}, "stabilityai/stable-diffusion-xl-base-1.0"),
        ({"outputs": Path("/data")}, "INDEX_DIR"),
    ],
)
def test_settings_that_no_space_should_have_are_named(
    checkout: Path, settings: dict[str, object], said: str
) -> None:
    assert said in found(SpaceKind.ZERO, checkout, **settings)


def test_the_front_matter_is_what_hugging_face_reads(checkout: Path) -> None:
    said = read_front_matter(checkout)
    assert said is not None
    assert said["hf_oauth"] is True
    assert said["startup_duration_timeout"]


def test_the_command_says_it_and_ends_with_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPU_BASES", raising=False)
    answer = cli("doctor", "--space", "zero", "--json")
    assert (answer.code, answer.json["ok"]) == (1, False)
    assert "GPU_BASES" in answer.json["problems"][0]
