"""What browsers send: a folder of this process alone, bounded, and emptied as it is used."""

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path

KEPT = 900.0
"""Seconds after which what nobody took in goes."""
MOST = 2**31
"""Bytes that all may send in that time."""
LEAST = 2**20
"""Bytes that a request counts as, however few it has: files cost more than their bytes."""


class Uploads:
    """Counts what is sent, and forgets it in time.

    Args:
        per_visitor: bytes that one visitor of a public page may send in that time.
    """

    def __init__(self, folder: Path, per_visitor: int = MOST) -> None:
        self._folder = folder
        self._per_visitor = per_visitor
        self._lock = threading.Lock()
        self._admitted: deque[tuple[float, str | None, int]] = deque()

    def admit(self, visitor: str | None, size: int) -> bool:
        """Whether ``size`` more bytes may come now; they count then.

        Args:
            visitor: None where the page is its owner's, who has no share of their own.
        """
        self._discard()
        size = max(size, LEAST)
        with self._lock:
            now = time.monotonic()
            while self._admitted and now - self._admitted[0][0] > KEPT:
                self._admitted.popleft()
            own = sum(each for _, who, each in self._admitted if who == visitor)
            total = sum(each for _, _, each in self._admitted)
            fits = total + size <= MOST and (visitor is None or own + size <= self._per_visitor)
            if fits:
                self._admitted.append((now, visitor, size))
            return fits

    def has(self, name: str) -> bool:
        """Whether ``name`` is the path of something that was sent here."""
        try:
            return Path(name).is_absolute() and Path(name).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):
            return False

    def _discard(self) -> None:
        oldest = time.time() - KEPT
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < oldest:
                    path.unlink()


@cache
def folder() -> Path:
    """Where gradio keeps what is sent, from now on; under GRADIO_TEMP_DIR where that is set, and
    gone with the process."""
    place = os.environ.get("GRADIO_TEMP_DIR")
    if place is not None:
        Path(place).mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="lora-studio-", dir=place)).resolve()
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(made)
    return made
