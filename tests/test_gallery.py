"""The gallery on a real disk, with real SQLite files and processes that are really killed."""

import errno
import logging
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image

from studio import durable, gallery, picture, picture_index
from studio.architecture import Mode
from studio.errors import GalleryError, RecordError
from studio.gallery import Facet, Filter, Gallery, Picture
from studio.picture_row import Row
from studio.receipt import RunRecord
from studio.verification import verify
from tests.records import (
    START,
    base_identity,
    flat,
    lora_use,
    noise,
    run_plan,
    run_receipt,
    run_record,
)

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\d{4}-\d\d-\d\d/\d{6}-[0-9a-f]{8}-\d+\.png")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def fill(shelf: Gallery, count: int = 3, **plan: object) -> list[Path]:
    """Save ``count`` pictures, each a minute after the one before; oldest first."""
    return [
        shelf.save(flat(), run_record(at=START + timedelta(minutes=n), seed=n, **plan))
        for n in range(count)
    ]


def everything(shelf: Gallery) -> list[Path]:
    return [each.path for each in shelf.query(limit=100_000)]


def pngs(outputs: Path) -> set[Path]:
    return set(outputs.rglob("*.png"))


def leftovers(outputs: Path) -> list[Path]:
    return list(outputs.rglob("*.part"))


def child(outputs: Path, program: str) -> subprocess.Popen[str]:
    """A Python process with a gallery ``shelf`` in ``outputs`` running ``program``."""
    head = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from studio import durable, picture_index\nfrom studio.gallery import Gallery\n"
        "from tests.records import *\n"
        f"shelf = Gallery(Path({str(outputs)!r}))\n"
        "def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- saving


def test_a_saved_picture_is_whole_and_found(outputs: Path) -> None:
    shelf = Gallery(outputs)
    record = run_record()
    path = shelf.save(flat(), record)
    name = path.relative_to(outputs).as_posix()
    local = (START + timedelta(seconds=2)).astimezone()
    assert NAME.fullmatch(name)
    assert name == f"{local:%Y-%m-%d}/{local:%H%M%S}-{record.plan.fingerprint[:8]}-1.png"
    assert verify(path).ok
    assert shelf.read(path) == shelf.read(name) == record
    assert shelf.query() == [
        Picture(
            path=path,
            name=name,
            created=START + timedelta(seconds=2),
            base="mini",
            base_label="Mini",
            mode=Mode.LORA_WITH_TRIGGER,
            prompt="a rocket on a blue background, phrsink",
            seed=42,
            width=32,
            height=32,
            fingerprint=record.plan.fingerprint,
            loras=("pen-ink-mini",),
        )
    ]
    assert leftovers(outputs) == []


def test_nothing_is_overwritten(outputs: Path) -> None:
    shelf = Gallery(outputs)
    paths = [shelf.save(flat(), run_record()) for _ in range(3)]
    assert [path.stem.rsplit("-", 1)[1] for path in paths] == ["1", "2", "3"]
    paths[1].unlink()
    paths[1].symlink_to("nowhere")
    assert shelf.save(flat(), run_record()).stem.endswith("-4")
    assert paths[1].is_symlink()


def test_threads_and_processes_save_side_by_side(outputs: Path) -> None:
    program = "for _ in range(8): shelf.save(flat(), run_record())"
    processes = [child(outputs, program) for _ in range(2)]
    shelf = Gallery(outputs)
    saved: list[Path] = []

    def work() -> None:
        for _ in range(4):
            saved.append(shelf.save(flat(), run_record()))
            shelf.query()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        assert process.wait(30) == 0, process.communicate()[1]
    assert len(set(saved)) == 16
    assert len(pngs(outputs)) == 32
    assert set(everything(shelf)) == pngs(outputs)


def test_the_image_of_another_record_is_not_saved(outputs: Path) -> None:
    shelf = Gallery(outputs)
    with pytest.raises(GalleryError, match="not the one of its record"):
        shelf.save(noise(), run_record())
    assert pngs(outputs) == set()


def test_a_record_without_a_time_is_not_saved(outputs: Path) -> None:
    shelf = Gallery(outputs)
    plan = run_plan()
    record = RunRecord.of(plan, run_receipt(plan, flat(), finished_at="yesterday"))
    with pytest.raises(RecordError, match="'yesterday', which is no time"):
        shelf.save(flat(), record)
    assert pngs(outputs) == set()


@pytest.mark.parametrize(
    ("code", "words", "way_out"),
    [
        (errno.ENOSPC, "no room left", "Free some space"),
        (errno.EDQUOT, "no room left", "Free some space"),
        (errno.EROFS, "may not write", "Allow it to"),
        (errno.EIO, "cannot be reached", "Check the folder"),
    ],
)
def test_a_disk_that_does_not_take_it(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str, way_out: str
) -> None:
    shelf = Gallery(outputs)
    kept = shelf.save(flat(), run_record())

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(GalleryError, match=words) as caught:
            shelf.save(flat(), run_record())
    assert caught.value.way_out.startswith(way_out)
    assert (pngs(outputs), leftovers(outputs)) == ({kept}, [])
    assert everything(shelf) == [kept]
    assert shelf.save(flat(), run_record()) in everything(shelf)


def test_a_file_that_may_not_grow(outputs: Path) -> None:
    """The kernel stops the write itself, in the middle of the file."""
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "from studio.errors import GalleryError\n"
        "try: shelf.save(flat(), run_record())\n"
        "except GalleryError as error: print(error)\n"
    )
    process = child(outputs, program)
    output, errors = process.communicate(timeout=30)
    assert "no room left" in output, errors
    assert (pngs(outputs), leftovers(outputs)) == (set(), [])


def test_a_locked_index_does_not_lose_the_picture(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Gallery(outputs)
    monkeypatch.setattr(picture_index, "BUSY_TIMEOUT", 0.05)
    with closing(sqlite3.connect(outputs / "index.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match="is saved, but not in the index"):
            shelf.save(flat(), run_record())
    (path,) = pngs(outputs)
    assert verify(path).ok
    assert everything(shelf) == []
    assert shelf.sync().read == 1
    assert everything(shelf) == [path]


# ---- killed processes


def check_after_the_kill(outputs: Path) -> int:
    """Every picture is whole and found, nothing else is taken for one; how many there are."""
    shelf = Gallery(outputs)
    assert all(verify(path).ok for path in pngs(outputs))
    assert set(everything(shelf)) == pngs(outputs)
    fresh = shelf.save(flat(), run_record())
    assert verify(fresh).ok
    assert set(everything(shelf)) == pngs(outputs)
    return len(pngs(outputs))


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("os.fsync = kill", 0),
        ("Path.replace = kill", 0),
        ("durable.sync_folder = kill", 1),
        ("picture_index.PictureIndex.change = kill", 1),
        ("durable.publish = lambda *a, p=durable.publish: (p(*a), kill())", 1),
    ],
)
def test_killed_at_a_given_moment(outputs: Path, moment: str, kept: int) -> None:
    (outputs / "2026-11-22").mkdir(parents=True)
    process = child(outputs, f"{moment}\nshelf.save(flat(), run_record())")
    assert process.wait(30) == -signal.SIGKILL, process.communicate()[1]
    assert len(pngs(outputs)) == kept
    assert check_after_the_kill(outputs) == kept + 1


@pytest.mark.parametrize("delay", [0.03, 0.11, 0.19, 0.31])
def test_killed_at_any_moment(outputs: Path, delay: float) -> None:
    program = (
        "image = noise(256, 256)\nrecord = run_record(image)\nprint('ready', flush=True)\n"
        "while True: shelf.save(image, record)\n"
    )
    process = child(outputs, program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    assert check_after_the_kill(outputs) >= 1


def test_what_killed_writers_left_is_cleared_up_later(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    old, new = path.with_name(".old-1.png.part"), path.with_name(".new-1.png.part")
    for part in (old, new):
        part.write_bytes(b"half")
    long_ago = time.time() - durable.STALE - 60
    os.utime(old, (long_ago, long_ago))
    shelf.reindex()
    assert leftovers(outputs) == [new]


# ---- the index


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
        db.executescript("DROP TABLE picture_loras; PRAGMA user_version = 0;")


DAMAGES = [
    (damage_missing, "there was none"),
    (damage_text, "it was damaged"),
    (damage_cut, "it was damaged"),
    (damage_pages, "it was damaged"),
    (damage_empty, "it had schema version 0"),
    (damage_older, "it had schema version 0"),
]


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

    monkeypatch.setattr(picture, "read_record", fail)
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
    outputs.joinpath("huge.png").write_bytes(picture.encode(flat(), run_record(seed=2**70)))
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
    second.write_bytes(picture.encode(flat(), run_record(at=START, prompt="another one")))
    copied = outputs / "kept" / "copy.png"
    copied.parent.mkdir()
    shutil.copy(third, copied)
    report = Gallery(outputs).sync()
    assert report == gallery.Reindexed(0, 0, ())
    found = shelf.query()
    assert {each.path for each in found} == {second, third, copied}
    assert next(each.prompt for each in found if each.path == second) == "another one"


def test_a_deleted_file_is_never_shown(outputs: Path) -> None:
    shelf = Gallery(outputs)
    paths = fill(shelf, 6)
    for each in shelf.query():
        shelf.thumbnail(each)
    paths[5].unlink()
    paths[3].unlink()
    assert [each.path for each in shelf.query(limit=3)] == [paths[4], paths[2], paths[1]]
    assert shelf.count() == 4
    assert len(list(outputs.rglob("*.webp"))) == 4


# ---- asking


def test_newest_first_and_page_by_page(outputs: Path) -> None:
    """Also where many pictures have the same time."""
    shelf = Gallery(outputs)
    paths = fill(shelf, 5) + [shelf.save(flat(), run_record(at=START)) for _ in range(4)]
    whole = shelf.query()
    assert {each.path for each in whole} == set(paths)
    assert whole == sorted(whole, key=lambda each: (each.created, each.name), reverse=True)
    seen: list[Picture] = []
    while page := shelf.query(limit=2, after=seen[-1] if seen else None):
        assert len(page) <= 2
        seen += page
    assert seen == whole
    assert shelf.query(limit=0) == []


@pytest.fixture
def mixed(outputs: Path) -> tuple[Gallery, dict[str, Path]]:
    shelf = Gallery(outputs)
    plans: dict[str, dict[str, object]] = {
        "base": {"loras": (), "prompt": "A Straße in the RAIN, 100% wet", "negative": "fog"},
        "ink": {"loras": (lora_use("ink"),), "prompt": "a rocket", "seed": 1234567},
        "both": {"loras": (lora_use("ink"), lora_use("neon")), "prompt": "a cat"},
        "quiet": {"loras": (lora_use("ink"),), "mode": Mode.LORA, "prompt": "a cat_x"},
        "other": {"loras": (), "base": base_identity("sd15"), "prompt": "a dog"},
    }
    paths = {
        name: shelf.save(flat(), run_record(at=START + timedelta(minutes=n), **plan))
        for n, (name, plan) in enumerate(plans.items())
    }
    return shelf, paths


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), "other quiet both ink base"),
        (Filter(base="mini"), "quiet both ink base"),
        (Filter(base="none"), ""),
        (Filter(lora="ink"), "quiet both ink"),
        (Filter(lora="neon"), "both"),
        (Filter(mode=Mode.LORA), "quiet"),
        (Filter(mode=Mode.BASE), "other base"),
        (Filter(lora="ink", mode=Mode.LORA_WITH_TRIGGER), "both ink"),
        (Filter(base="sd15", lora="ink"), ""),
        (Filter(words="CAT"), "quiet both"),
        (Filter(words="  a   cat "), "quiet both"),
        (Filter(words="rain strasse"), "base"),
        (Filter(words="rain rocket"), ""),
        (Filter(words="fog"), "base"),
        (Filter(words="1234567"), "ink"),
        (Filter(words="100%"), "base"),
        (Filter(words="%"), "base"),
        (Filter(words="t_x"), "quiet"),
        (Filter(words="neon"), "both"),
        (Filter(words="'; DROP TABLE pictures; --"), ""),
        (Filter(words="without trigger"), "quiet"),
    ],
)
def test_filters(mixed: tuple[Gallery, dict[str, Path]], wanted: Filter, names: str) -> None:
    shelf, paths = mixed
    assert [each.path for each in shelf.query(wanted)] == [paths[name] for name in names.split()]
    assert shelf.count(wanted) == len(names.split())


def test_facets(mixed: tuple[Gallery, dict[str, Path]]) -> None:
    shelf, paths = mixed
    found = shelf.facets()
    assert found.total == 5
    assert found.bases == (Facet("mini", "Mini", 4), Facet("sd15", "Sd15", 1))
    assert found.loras == (Facet("ink", "Ink", 3), Facet("neon", "Neon", 1))
    assert found.modes == (
        Facet("base", "Base", 2),
        Facet("lora_with_trigger", "LoRA with trigger", 2),
        Facet("lora", "LoRA without trigger", 1),
    )
    shelf.delete(paths["both"])
    assert shelf.facets().loras == (Facet("ink", "Ink", 2),)


def test_ten_thousand_pictures_are_quick_to_ask(outputs: Path) -> None:
    shelf = Gallery(outputs)
    folder = outputs / "2026-11-22"
    folder.mkdir()
    rows = []
    for n in range(50):
        chosen = (lora_use(f"lora-{n % 7}"),)
        row = Row.of("", (0, 0), run_record(prompt=f"a rocket {n} on blue", loras=chosen))
        for copy in range(200):
            name = f"2026-11-22/{n}-{copy}.png"
            rows.append(Row((name, n * 1000 + copy, *row.columns[2:]), row.loras))
            (outputs / name).touch()
    shelf._index.change(add=rows)
    shelf.query()
    took: dict[str, float] = {}
    for wanted in (
        Filter(),
        Filter(lora="lora-3"),
        Filter(words="rocket 49 blue"),
        Filter(words="nowhere"),
        Filter(base="mini", lora="lora-1", mode=Mode.LORA_WITH_TRIGGER, words="rocket"),
    ):
        began = time.perf_counter()
        shelf.query(wanted)
        took[str(wanted)] = time.perf_counter() - began
    began = time.perf_counter()
    shelf.facets()
    took["facets"] = time.perf_counter() - began
    assert max(took.values()) < 0.25, took


# ---- thumbnails


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((640, 320), (320, 160)),
        ((320, 640), (160, 320)),
        ((64, 32), (64, 32)),
        ((999, 32), (320, 10)),
    ],
)
def test_thumbnails_keep_the_shape(
    outputs: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    shelf = Gallery(outputs)
    shelf.save(flat(*size, color=(250, 10, 10)), run_record(flat(*size, color=(250, 10, 10))))
    (shown,) = shelf.query()
    thumbnail = shelf.thumbnail(shown)
    assert thumbnail.is_relative_to(outputs / ".thumbs")
    with Image.open(thumbnail) as image:
        assert (image.size, image.format) == (small, "WEBP")
        red, green, blue = image.convert("RGB").getpixel((3, 3))
        assert red > 230
        assert max(green, blue) < 40
    assert leftovers(outputs) == []


def test_a_thumbnail_is_made_once_until_the_picture_changes(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    (shown,) = shelf.query()
    thumbnail = shelf.thumbnail(shown)
    first = thumbnail.stat().st_ino
    assert shelf.thumbnail(shown).stat().st_ino == first
    path.write_bytes(picture.encode(noise(), run_record(noise())))
    assert shelf.thumbnail(shown) == thumbnail
    assert thumbnail.stat().st_ino != first


@pytest.mark.parametrize("how", ["gone", "broken"])
def test_no_thumbnail_of_what_is_no_picture(outputs: Path, how: str) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    (shown,) = shelf.query()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(GalleryError):
        shelf.thumbnail(shown)
    assert list(outputs.rglob("*.webp")) == []


# ---- deleting


def test_deleting_removes_every_trace(outputs: Path) -> None:
    shelf = Gallery(outputs)
    kept, gone, by_name = fill(shelf)
    for each in shelf.query():
        shelf.thumbnail(each)
    shelf.delete(gone)
    shelf.delete(by_name.relative_to(outputs).as_posix())
    assert pngs(outputs) == {kept}
    assert everything(shelf) == [kept]
    assert [path.stem for path in outputs.rglob("*.webp")] == [kept.stem]
    with pytest.raises(GalleryError, match="not there any more"):
        shelf.delete(gone)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "2026-11-22/../../secret.png",
        "{tmp}/secret.png",
        "{tmp}/outputs/../secret.png",
        "link.png",
        "linked/secret.png",
        "index.sqlite",
        "README.md",
        ".thumbs/x.png",
        "",
        ".",
        "..",
        "folder.png",
        "nothing.png",
        "\0../secret.png",
        "\0{kept}",
        "2026-11-22\0.png",
        "~/secret.png",
    ],
)
def test_nothing_outside_can_be_read_or_deleted(tmp_path: Path, outputs: Path, path: str) -> None:
    shelf = Gallery(outputs)
    (kept,) = fill(shelf, 1)
    secret = tmp_path / "secret.png"
    shutil.copy(kept, secret)
    (outputs / "link.png").symlink_to(secret)
    (outputs / "linked").symlink_to(tmp_path)
    (outputs / "folder.png").mkdir()
    (outputs / "README.md").write_text("here")
    (outputs / ".thumbs").mkdir()
    shutil.copy(kept, outputs / ".thumbs" / "x.png")
    before = {found for found in tmp_path.rglob("*") if "index.sqlite-" not in found.name}
    for operation in (shelf.delete, shelf.read):
        with pytest.raises(GalleryError):
            operation(path.replace("{tmp}", str(tmp_path)).replace("{kept}", str(kept)))
    after = {found for found in tmp_path.rglob("*") if "index.sqlite-" not in found.name}
    assert after == before


# ---- folders that are none


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(GalleryError, match="cannot be reached"):
        Gallery(tmp_path / "outputs")


def test_a_folder_that_nobody_may_make() -> None:
    with pytest.raises(GalleryError) as caught:
        Gallery(Path("/proc/outputs"))
    assert "OUTPUTS" in caught.value.way_out


def test_a_folder_that_vanishes_while_open(outputs: Path) -> None:
    shelf = Gallery(outputs)
    shutil.rmtree(outputs)
    with pytest.raises(GalleryError):
        shelf.query()
