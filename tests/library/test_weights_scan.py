"""Scanning what lies under MODEL_BASE_PATH: what is found, remembered and left alone."""

from pathlib import Path

import pytest

from studio.library import scan as scanning
from studio.library.sidecars import preview
from studio.library.store import WeightStore
from studio.settings import Settings
from tests.library.downloads.conftest import lora_bytes


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models/a/b").mkdir(parents=True)
    return Settings(tmp_path / "models", tmp_path / "outputs", tmp_path / "state")


def found(settings: Settings) -> dict[str, str]:
    return {held.path: held.verdict.kind or "broken" for held in WeightStore(settings).scan()}


def test_loras_everywhere_but_in_models_and_hidden_places(
    settings: Settings, tiny_base: Path
) -> None:
    root, data = settings.model_base_path, lora_bytes(20_000)
    for name in ("x.safetensors", "a/b/Y.SAFETENSORS", ".hidden.safetensors", "note.txt"):
        (root / name).write_bytes(data)
    (root / ".cache").mkdir()
    (root / ".cache/z.safetensors").write_bytes(data)
    (root / "base").symlink_to(tiny_base)
    (root / "old.ckpt").write_bytes(b"\x80\x02")
    (root / "model/unet").mkdir(parents=True)
    (root / "model/model_index.json").write_text("{}")
    (root / "model/unet/w.safetensors").write_bytes(data)
    (root / "cut.safetensors").write_bytes(data[:500])
    assert found(settings) == {
        "x.safetensors": "lora",
        "a/b/Y.SAFETENSORS": "lora",
        "cut.safetensors": "broken",
        "model": "model",
        "old.ckpt": "pickle",
    }


def test_a_link_that_leaves_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(lora_bytes(20_000))
    (settings.model_base_path / "out.safetensors").symlink_to(outside)
    (settings.model_base_path / "loop.safetensors").symlink_to("loop.safetensors")
    (settings.model_base_path / "gone.safetensors").symlink_to("nowhere")
    own = settings.model_base_path / "a/own.safetensors"
    own.write_bytes(lora_bytes(20_000))
    (settings.model_base_path / "a/b/in.safetensors").symlink_to(own)
    assert set(found(settings)) == {"a/own.safetensors", "a/b/in.safetensors"}


def test_a_second_scan_opens_only_what_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = settings.model_base_path
    (root / "one.safetensors").write_bytes(lora_bytes(20_000))
    (root / "two.safetensors").write_bytes(lora_bytes(20_000))
    found(settings)
    opened: list[str] = []
    own = scanning.read_inspection

    def counted(path: Path) -> object:
        opened.append(path.name)
        return own(path)

    monkeypatch.setattr(scanning, "read_inspection", counted)
    assert len(found(settings)) == 2
    assert opened == []
    (root / "two.safetensors").write_bytes(b"<html>" * 20)
    assert found(settings)["two.safetensors"] == "broken"
    assert opened == ["two.safetensors"]


def test_a_preview_is_small_and_a_hostile_one_is_none(settings: Settings) -> None:
    from PIL import Image

    weights = settings.model_base_path / "x.safetensors"
    assert preview(weights) is None
    (settings.model_base_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    assert preview(weights) is None
    Image.new("RGB", (2000, 1000), "red").save(settings.model_base_path / "x.preview.png")
    data = preview(weights)
    assert data is not None
    assert data.startswith(b"\xff\xd8")
    assert len(data) < 10_000
