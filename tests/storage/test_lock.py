"""A lock that another process holds is waited for by name, and not for ever."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studio.errors import LockHeld
from studio.gallery import Filter, Gallery, jsonl
from studio.storage import lock

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process has the lock, as one that was stopped would."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.4)
    monkeypatch.setattr(lock, "SAID_AFTER", 0.1)


def test_the_index_is_waited_for_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gallery = Gallery(tmp_path)
    assert gallery.query(Filter(), limit=1) == []
    (path,) = tmp_path.glob(".*.lock")
    with held(path), caplog.at_level(logging.WARNING, "studio.storage.lock"):
        with pytest.raises(LockHeld) as caught:
            gallery.query(Filter(), limit=1)
        assert caught.value.code == "lock_held"
        assert path.name in caught.value.message
        assert path.name in caplog.text
    assert gallery.query(Filter(), limit=1) == []


def test_a_file_of_lines_is_waited_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    jsonl.append(path, "1")
    with held(path), pytest.raises(LockHeld, match=path.name):
        jsonl.append(path, "2")
    jsonl.append(path, "3")
    assert jsonl.read(path).whole == ("1", "3")
