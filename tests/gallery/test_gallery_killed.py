"""Processes that are really killed leave whole pictures, and a gallery that finds them."""

import os
import signal
import time
from pathlib import Path

import pytest

from studio.gallery import Gallery
from studio.gallery.verification import verify
from studio.storage import atomic
from tests.support.records import flat, run_record
from tests.support.shelf import PATIENCE, child, everything, fill, leftovers, pngs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


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
        ("atomic.sync_folder = kill", 1),
        ("picture_index.PictureIndex.change = kill", 1),
        ("atomic.publish = lambda *a, p=atomic.publish: (p(*a), kill())", 1),
    ],
)
def test_killed_at_a_given_moment(outputs: Path, moment: str, kept: int) -> None:
    (outputs / "2026-11-22").mkdir(parents=True)
    process = child(outputs, f"{moment}\nshelf.save(flat(), run_record())")
    assert process.wait(PATIENCE) == -signal.SIGKILL, process.communicate()[1]
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
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert check_after_the_kill(outputs) >= 1


def test_what_killed_writers_left_is_cleared_up_later(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    old, new = path.with_name(".old-1.png.part"), path.with_name(".new-1.png.part")
    for part in (old, new):
        part.write_bytes(b"half")
    long_ago = time.time() - atomic.STALE - 60
    os.utime(old, (long_ago, long_ago))
    shelf.reindex()
    assert leftovers(outputs) == [new]
