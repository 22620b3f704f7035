"""The SHA-256 each preset without one had when it was first used; checked for ever after.

A small JSON file, replaced whole. Writers take turns through a lock in SQLite, the standard
library's one lock that works between processes on every system and is freed by a crash.
Unlike a cache it cannot be made again, so a broken file is an error and never rebuilt.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from studio.contract.base import is_sha256
from studio.errors import WeightsError
from studio.storage import atomic

WAIT_SECONDS = 30.0


class Pins:
    """The pins in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, str]:
        """``memory_key`` → SHA-256; a slug alone stands for whatever the preset names.

        Raises:
            WeightsError: the file is there and cannot be read.
        """
        try:
            text = self._path.read_text("utf-8")
            pins = json.loads(text)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self._broken(str(error)) from error
        if not isinstance(pins, dict) or not all(
            isinstance(value, str) and is_sha256(value) for value in pins.values()
        ):
            raise self._broken("it does not map slugs to SHA-256")
        return pins

    def add(self, key: str, sha256: str) -> None:
        """Pin ``key``; the same pin again changes nothing.

        Raises:
            WeightsError: it is pinned to another hash, or the file cannot be written.
        """
        if not is_sha256(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        with self._locked():
            pins = self.all()
            _refuse_another(pins, key, sha256)
            if key not in pins:
                self._write(pins | {key: sha256})

    def check(self, key: str, sha256: str) -> None:
        """Nothing, where ``key`` is not pinned or pinned to this hash.

        Raises:
            WeightsError: it is pinned to another hash, or the file cannot be read.
        """
        _refuse_another(self.all(), key, sha256)

    def remove(self, slug: str) -> str:
        """Forget every pin of a preset, whatever it named, and return the last.

        Raises:
            WeightsError: the slug is not pinned, or the file cannot be written.
        """
        with self._locked():
            pins = self.all()
            own = [key for key in pins if slug_of(key) == slug]
            if not own:
                raise WeightsError(f"{slug} is not pinned.", "It is pinned when it is first used.")
            forgotten = [pins.pop(key) for key in own][-1]
            self._write(pins)
        return forgotten

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_suffix(".lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(lock, WAIT_SECONDS, isolation_level=None)) as db:
                db.execute("BEGIN EXCLUSIVE")
                yield
        except (OSError, sqlite3.Error) as error:
            raise WeightsError(
                f"The pins in {self._path} cannot be written: {error}.",
                "Let the studio write there, or set STATE_DIR to another folder.",
                self._path,
            ) from error

    def _write(self, pins: dict[str, str]) -> None:
        text = json.dumps(pins, indent=1, sort_keys=True) + "\n"
        atomic.overwrite(self._path, text.encode("utf-8"))

    def _broken(self, why: str) -> WeightsError:
        return WeightsError(
            f"The pins in {self._path} cannot be read: {why}.",
            "Restore the file from a backup, or delete it to pin every preset anew.",
            self._path,
        )


def pinned(pins: Mapping[str, str], key: str) -> str | None:
    """What ``key`` is pinned to, by itself or by its slug alone."""
    return pins.get(key) or pins.get(slug_of(key))


def slug_of(key: str) -> str:
    """The preset's slug in a ``memory_key``."""
    return key.split(" ", 1)[0]


def _refuse_another(pins: Mapping[str, str], key: str, sha256: str) -> None:
    expected, slug = pinned(pins, key), slug_of(key)
    if expected not in (None, sha256):
        raise WeightsError(
            f"{slug} was first used with SHA-256 {expected}, not {sha256}.",
            "Put the original file back, or accept the new one with "
            f"`studio presets repin {slug}`.",
        )
