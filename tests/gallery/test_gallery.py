"""Saving on a real disk: whole, under a name of its own, or an error that says the way out."""

import errno
import os
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError, RecordError
from studio.gallery import Gallery, Picture, index_file
from studio.gallery.row import place_at
from studio.gallery.verification import verify
from studio.imaging import png
from tests.support.records import START, flat, noise, run_plan, run_receipt, run_record
from tests.support.shelf import PATIENCE, child, everything, leftovers, pngs

NAME = re.compile(r"\d{4}-\d\d-\d\d/\d{6}-[0-9a-f]{8}-\d+\.png")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


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
            place=place_at(START + timedelta(seconds=2)),
            created=START + timedelta(seconds=2),
            base="mini",
            base_label="Mini",
            mode=Mode.LORA_WITH_TRIGGER,
            prompt="a rocket on a blue background, phrsink",
            seed=42,
            width=32,
            height=32,
            fingerprint=record.plan.fingerprint,
            record=record.fingerprint,
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
        assert process.wait(PATIENCE) == 0, process.communicate()[1]
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
    with pytest.raises(RecordError, match="'yesterday', which is not a time"):
        shelf.save(flat(), record)
    assert pngs(outputs) == set()


def test_a_record_that_could_not_be_read_back_is_not_saved(outputs: Path) -> None:
    shelf = Gallery(outputs)
    with pytest.raises(GalleryError, match="could not be read back") as caught:
        shelf.save(flat(), run_record(prompt="x" * png.MAX_TEXT))
    assert caught.value.way_out.startswith("Shorten the prompt")
    assert (pngs(outputs), leftovers(outputs)) == (set(), [])


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
    output, errors = process.communicate(timeout=PATIENCE)
    assert "no room left" in output, errors
    assert (pngs(outputs), leftovers(outputs)) == (set(), [])


def test_a_locked_index_does_not_lose_the_picture(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Gallery(outputs)
    monkeypatch.setattr(index_file, "BUSY_TIMEOUT", 0.05)
    with closing(sqlite3.connect(outputs / "index.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match="is saved, but not in the index"):
            shelf.save(flat(), run_record())
    (path,) = pngs(outputs)
    assert verify(path).ok
    assert everything(shelf) == []
    assert shelf.sync().read == 1
    assert everything(shelf) == [path]


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
