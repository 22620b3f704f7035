"""The index is never the truth: broken, missing or outdated, it follows the PNG files."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from studio.contract.receipt import RunRecord
from studio.gallery import Filter, Gallery, record_png
from studio.gallery.followed_files import Reindexed
from tests.support.records import START, flat, lora_use, run_record
from tests.support.shelf import everything, fill


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def damage_missing(index: Path) -> None:
    index.unlink()


def damage_text(index: Path) -> None:
    index.write_text("not a database, but long enough to look at " * 50)


def damage_cut(index: Path) -> None:
    os.truncate(index, index.stat().st_size // 2)


def damage_pages(index: Path) -> None:
    with index.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(12_000))


def damage_empty(index: Path) -> None:
    index.write_bytes(b"")


def damage_older(index: Path) -> None:
    with closing(sqlite3.connect(index)) as db:
        db.executescript("DROP TABLE tags; PRAGMA user_version = 0;")


DAMAGES = [
    (damage_missing, "there was none"),
    (damage_text, "it was damaged"),
    (damage_cut, "it was damaged"),
    (damage_pages, "it was damaged"),
    (damage_empty, "it had schema version 0"),
    (damage_older, "it had schema version 0"),
]


def test_an_index_may_lie_elsewhere_and_is_made_again_there(outputs: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    paths = fill(Gallery(outputs, index=local), 3)
    other = fill(Gallery(tmp_path / "another", index=local), 1)
    assert not (outputs / "index.sqlite").exists()
    shutil.rmtree(local)  # as where a container starts anew
    assert everything(Gallery(outputs, index=local)) == paths[::-1]
    assert everything(Gallery(tmp_path / "another", index=local)) == other


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_opening_makes_a_broken_index_anew(
    outputs: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], reason: str
) -> None:
    paths = fill(Gallery(outputs), 4)
    damage(outputs / "index.sqlite")
    with caplog.at_level(logging.INFO, "studio.gallery"):
        assert everything(Gallery(outputs)) == paths[::-1]
    assert f"a new index is made from the pictures: {reason}" in caplog.text
    assert "4 read, 0 removed" in caplog.text


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_an_index_that_breaks_while_open_is_made_anew(
    outputs: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], reason: str
) -> None:
    shelf = Gallery(outputs)
    paths = fill(shelf, 4, loras=(lora_use("ink"),))
    damage(outputs / "index.sqlite")
    with caplog.at_level(logging.INFO, "studio.gallery"):
        assert [each.path for each in shelf.query(Filter(lora="ink"))] == paths[::-1]
    assert f"a new index is made from the pictures: {reason}" in caplog.text
    assert shelf.save(flat(), run_record(at=START + timedelta(days=1))) == everything(shelf)[0]


def test_a_sound_index_is_not_read_again(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(Gallery(outputs))

    def fail(_: Path) -> RunRecord:
        raise AssertionError("a picture was read that the index knows")

    monkeypatch.setattr(record_png, "read_record", fail)
    assert len(everything(Gallery(outputs))) == 3


def test_reindexing_gives_what_saving_gave(outputs: Path) -> None:
    shelf = Gallery(outputs)
    fill(shelf, 3, loras=(lora_use("a"), lora_use("b")))
    before = shelf.query()
    with closing(sqlite3.connect(outputs / "index.sqlite")) as db, db:
        db.execute("UPDATE pictures SET prompt = 'lies', seed = 0")
    assert shelf.query() != before
    report = shelf.reindex()
    assert (report.read, report.removed, report.unreadable) == (3, 0, ())
    assert shelf.query() == before


def test_reindexing_reports_what_it_cannot_read(
    outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Gallery(outputs)
    good, bad = fill(shelf, 2)
    bad.write_bytes(bad.read_bytes()[:100])
    flat().save(outputs / "bare.png")
    (outputs / "page.png").write_text("<html>")
    (outputs / "folder.png").mkdir()
    (outputs / "link.png").symlink_to(good)
    (outputs / ".hidden").mkdir()
    shutil.copy(good, outputs / ".hidden" / "copy.png")
    report = shelf.reindex()
    assert (report.read, report.removed) == (1, 1)
    assert {each.path for each in report.unreadable} == {
        bad,
        outputs / "bare.png",
        outputs / "page.png",
    }
    assert all(each.reason for each in report.unreadable)
    assert everything(shelf) == [good]
    assert "page.png" in caplog.text


def test_a_record_with_impossible_numbers_is_reported(outputs: Path) -> None:
    shelf = Gallery(outputs)
    outputs.joinpath("huge.png").write_bytes(record_png.encode(flat(), run_record(seed=2**70)))
    (unreadable,) = shelf.sync().unreadable
    assert "out of range" in unreadable.reason


def test_a_file_name_that_is_not_text_is_reported(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (kept,) = fill(shelf, 1)
    shutil.copy(os.fsencode(kept), os.fsencode(outputs) + b"/caf\xe9.png")
    (unreadable,) = shelf.reindex().unreadable
    assert "name is not UTF-8" in unreadable.reason
    assert everything(shelf) == [kept]


def test_files_that_vanish_during_a_look(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Gallery(outputs)
    kept, gone = fill(shelf, 2)
    plain = os.scandir

    def slow(folder: Path) -> object:
        listing = plain(folder)
        if Path(folder) == kept.parent:
            gone.unlink(missing_ok=True)
        return listing

    (outputs / "later").mkdir()
    monkeypatch.setattr(os, "scandir", slow)
    assert shelf.sync().removed == 1
    assert everything(shelf) == [kept]


def test_files_that_come_and_go_by_hand_are_noticed(outputs: Path) -> None:
    shelf = Gallery(outputs)
    first, second, third = fill(shelf)
    first.unlink()
    second.write_bytes(record_png.encode(flat(), run_record(at=START, prompt="another one")))
    copied = outputs / "kept" / "copy.png"
    copied.parent.mkdir()
    shutil.copy(third, copied)
    report = Gallery(outputs).sync()
    assert report == Reindexed(0, 0, ())
    found = shelf.query()
    assert {each.path for each in found} == {second, third, copied}
    assert next(each.prompt for each in found if each.path == second) == "another one"


def test_a_deleted_file_is_never_shown(outputs: Path) -> None:
    shelf = Gallery(outputs)
    paths = fill(shelf, 6)
    for each in shelf.query():
        shelf.thumbnail(each)
    paths[5].unlink()
    paths[4].unlink()
    paths[2].unlink()
    assert [each.path for each in shelf.query(limit=2)] == [paths[3], paths[1]]
    assert shelf.count() == 3
    assert len(list(outputs.rglob("*.webp"))) == 3


def test_only_folders_that_changed_are_compared_file_by_file(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (picture,) = fill(shelf, 1)
    names = ("loose.png", "a/one.png", "a/b/two.png", "a/b/three.png")
    for name in names:
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, outputs / name)
    assert shelf.sync().read == len(names)
    there = dict(shelf._files._stamps())
    assert shelf._index.unlike(there.items()) == ({}, {})
    kept = {"a/b/two.png": there["a/b/two.png"]}
    known = {name: there[name] for name in ("a/b/two.png", "a/b/three.png")}
    fewer = {name: stamp for name, stamp in there.items() if name != "a/b/three.png"}
    assert shelf._index.unlike(fewer.items()) == (kept, known)
    one = {"a/one.png": "1 2"}
    assert shelf._index.unlike((there | one).items()) == (one, {"a/one.png": there["a/one.png"]})
    (outputs / "a/one.png").unlink()
    assert shelf.sync().removed == 1
    assert shelf._index.unlike(shelf._files._stamps()) == ({}, {})
