"""Scanning what lies under MODEL_BASE_PATH: what is found, remembered and left alone."""

import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from studio.library import reading
from studio.library.files import inspected
from studio.library.previews import Previews
from studio.library.sidecars import video
from studio.library.store import WeightStore
from studio.settings import Settings
from tests.library.downloads.conftest import lora_bytes


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models/a/b").mkdir(parents=True)
    return Settings(tmp_path / "models", tmp_path / "outputs", tmp_path / "state")


def found(settings: Settings) -> dict[str, str]:
    return {held.path: held.verdict.kind or "broken" for held in WeightStore(settings).scan()}


def test_loras_everywhere_but_in_models_and_hidden_places(settings: Settings) -> None:
    root, data = settings.model_base_path, lora_bytes(20_000)
    for name in ("x.safetensors", "a/b/Y.SAFETENSORS", ".hidden.safetensors", "note.txt"):
        (root / name).write_bytes(data)
    (root / ".cache").mkdir()
    (root / ".cache/z.safetensors").write_bytes(data)
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


def test_a_link_leads_where_it_may_and_any_other_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    root = settings.model_base_path
    for name in ("outside/one", "outside/deep/two", "shared/three", "shared/deep/four"):
        place = tmp_path / f"{name}.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(lora_bytes(20_000))
    links = {
        "out.safetensors": tmp_path / "outside/one.safetensors",
        "loop.safetensors": Path("loop.safetensors"),
        "gone.safetensors": Path("nowhere"),
        "gone": Path("nowhere"),
        "folder": tmp_path / "outside",
        "shared": tmp_path / "shared",
        "shared.safetensors": tmp_path / "shared/three.safetensors",
        "again": tmp_path / "shared/deep",
        "a/up": root,
        "above": tmp_path,
        "note.txt": tmp_path / "outside/note.txt",
        "a/b/in.safetensors": root / "a/own.safetensors",
        "a/own.json": Path("nowhere"),
    }
    (root / "a/own.safetensors").write_bytes(lora_bytes(20_000))
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/blob").write_text("{}")
    (root / "model").mkdir()
    (root / "model/model_index.json").symlink_to(tmp_path / "hub/blob")
    allowed = replace(settings, linked_folders=(tmp_path / "shared",))
    own = {"a/own.safetensors", "a/b/in.safetensors"}
    shared = {"shared", "shared.safetensors", "again"}
    followed = {"shared.safetensors", "again/four.safetensors"}
    followed |= {f"shared/{name}.safetensors" for name in ("three", "deep/four")}
    told = {"out.safetensors", "loop.safetensors", "gone.safetensors", "gone"}
    told |= {"folder", "above", "model"}
    for each, usable, problems in (
        (settings, own, told | shared),
        (allowed, own | followed, told),
    ):
        held = {one.path: one for one in WeightStore(each).scan()}
        assert {path for path, one in held.items() if one.verdict.problem} == problems
        assert {path for path, one in held.items() if one.verdict.kind == "lora"} == usable
        assert "LINKED_FOLDERS" in (held["folder"].verdict.problem or "")


def test_a_folder_that_may_not_be_read_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.scandir

    def denied(folder: str) -> object:
        if str(folder).endswith("/a"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return own(folder)

    monkeypatch.setattr(os, "scandir", denied)
    held = WeightStore(settings).scan()
    assert [(each.path, bool(each.verdict.problem)) for each in held] == [("a", True)]


def test_a_second_scan_opens_only_what_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = settings.model_base_path
    (root / "one.safetensors").write_bytes(lora_bytes(20_000))
    (root / "two.safetensors").write_bytes(lora_bytes(20_000))
    found(settings)
    opened: list[str] = []
    own = inspected

    def counted(path: Path) -> object:
        opened.append(path.name)
        return own(path)

    monkeypatch.setattr(reading, "inspected", counted)
    assert len(found(settings)) == 2
    assert opened == []
    (root / "two.safetensors").write_bytes(b"<html>" * 20)
    assert found(settings)["two.safetensors"] == "broken"
    assert opened == ["two.safetensors"]


@pytest.mark.parametrize("program", [sys.executable, "/bin/false"])
def test_many_files_are_read_by_processes_and_here_where_one_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    root = settings.model_base_path
    for number in range(2 * reading.AT_A_TIME + 1):
        (root / f"{number}.safetensors").write_bytes(lora_bytes(9_000 + 4_400 * (number % 3)))
    (root / os.fsdecode(b"odd\xff.safetensors")).write_bytes(b"<html>")
    plain = WeightStore(settings).scan()
    monkeypatch.setattr(reading, "MANY", 1)
    monkeypatch.setattr(reading, "cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", program)
    told: list[tuple[int, int]] = []
    store = WeightStore(replace(settings, state=settings.state / "another"))
    assert store.scan(lambda done, count: told.append((done, count))) == plain
    assert told[-1] == (len(plain), len(plain))


def test_a_preview_is_made_once_and_small_and_what_is_chosen_goes_before_it(
    settings: Settings,
) -> None:
    from PIL import Image

    weights, previews = settings.model_base_path / "x.safetensors", Previews(settings.state / "p")
    assert previews.of("x", weights) is None
    beside = settings.model_base_path / "x.png"
    beside.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    broken = previews.of("x", weights)
    assert broken is not None
    assert not previews.serves(broken)
    Image.new("RGB", (2000, 1000), "red").save(beside)
    made = previews.of("x", weights)
    assert made is not None
    assert made != broken, "a browser keeps what it has under a name"
    assert previews.serves(made)
    with Image.open(made) as image:
        assert image.size == (320, 160)
    stamp = made.stat().st_mtime_ns
    assert previews.serves(made)
    assert made.stat().st_mtime_ns == stamp
    assert not previews.serves(made.with_name("another.webp"))
    assert not previews.serves(beside)
    own = settings.state / "own.webp"
    Image.new("RGB", (64, 64), "blue").save(own)
    before = beside.read_bytes()
    previews.choose("x", own)
    chosen = previews.of("x", weights)
    assert chosen is not None
    assert previews.serves(chosen)
    assert chosen.read_bytes() == own.read_bytes()
    assert beside.read_bytes() == before


def test_a_video_is_named_where_no_picture_is(settings: Settings) -> None:
    weights = settings.model_base_path / "x.safetensors"
    weights.with_name("x.mp4").touch()
    assert video(weights) == "x.mp4"
    weights.with_name("x.png").touch()
    assert video(weights) is None
