"""The one SQLite file ``STATE_DIR/state.sqlite``: how it is opened, made and brought up to date.

Several threads and processes share it; each call opens its own connection, and SQLite locks.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from studio.contract.base import is_sha256
from studio.errors import WeightsError
from studio.presets.rules import inside

T = TypeVar("T")

SCHEMA = 4
WAIT_SECONDS = 30.0
_BY_STAMP = (
    "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode TEXT,"
    " value TEXT NOT NULL) WITHOUT ROWID"
)
_TABLES = (
    f"CREATE TABLE hashes {_BY_STAMP}",
    f"CREATE TABLE headers {_BY_STAMP}",
    "CREATE TABLE pins (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE places (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_SINCE = {
    2: (
        "CREATE TABLE slugs (slug TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER,"
        " mtime_ns INTEGER, inode TEXT, sha256 TEXT) WITHOUT ROWID",
    ),
    3: (
        f"CREATE TABLE tensors {_BY_STAMP}",
        "CREATE TABLE answers (sha256 TEXT PRIMARY KEY, asked REAL NOT NULL,"
        " published TEXT NOT NULL, newer TEXT NOT NULL) WITHOUT ROWID",
    ),
    4: ("CREATE TABLE favourites (slug TEXT PRIMARY KEY) WITHOUT ROWID",),
}
"""Version → the tables that came with it."""
_BEFORE = ("hashes.sqlite", "pins.json", "places.json")
"""What earlier releases wrote. It is taken over once and left as it is."""


class StateFile:
    """The file in ``folder``; both are made when first written.

    Every method raises WeightsError where the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.sqlite"

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self._is_empty():
            return []  # a list of presets must not need a folder that can be written
        with self._opened() as db:
            return db.execute(query, values).fetchall()

    def _is_empty(self) -> bool:
        if not os.path.lexists(self._folder):
            return True
        names = (self._path.name, *_BEFORE)
        return self._folder.is_dir() and not any((self._folder / name).exists() for name in names)

    def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with self._opened() as db:
            return _alone(db, action)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, WAIT_SECONDS, isolation_level=None)) as db:
                if _version(db) != SCHEMA:
                    _alone(db, self._prepare)
                yield db
        except (OSError, sqlite3.Error) as error:
            raise WeightsError(
                f"The studio's state, {self._path}, cannot be used: {error}.",
                "Let the studio write there, or set STATE_DIR to another folder. A broken file: "
                "restore it from a backup, or delete it, which pins every preset again.",
                self._path,
            ) from error

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make the tables, filled with what earlier releases kept in files of their own."""
        version = _version(db)
        if version == SCHEMA:
            return  # another process was quicker
        if version > SCHEMA:
            raise WeightsError(
                f"{self._path} was written by a newer studio.",
                "Use that one, or set STATE_DIR to another folder.",
                self._path,
            )
        if version == 0:
            self._take_over(db)
        for since, tables in _SINCE.items():
            for table in tables if since > version else ():
                db.execute(table)
        db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _take_over(self, db: sqlite3.Connection) -> None:
        for table in _TABLES:
            db.execute(table)
        pins = _pins_before(self._folder / "pins.json")
        db.executemany("INSERT INTO pins VALUES (?, ?)", pins.items())
        places = _places_before(self._folder / "places.json")
        db.executemany("INSERT INTO places VALUES (?, ?)", places.items())
        rows = _hashes_before(self._folder / "hashes.sqlite")
        db.executemany("INSERT INTO hashes VALUES (?, ?, ?, ?, ?, ?)", rows)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _alone(db: sqlite3.Connection, action: Callable[[sqlite3.Connection], T]) -> T:
    """``action`` as one transaction, which only one process at a time is in."""
    db.execute("BEGIN IMMEDIATE")
    try:
        done = action(db)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return done


def _pins_before(path: Path) -> dict[str, str]:
    try:
        pins = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _broken_pins(path, str(error)) from error
    if not isinstance(pins, dict) or not all(
        isinstance(value, str) and is_sha256(value) for value in pins.values()
    ):
        raise _broken_pins(path, "it does not map slugs to SHA-256")
    return pins


def _broken_pins(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"The pins in {path} cannot be read: {why}.",
        "Restore the file from a backup, or delete it to pin every preset again.",
        path,
    )


def _places_before(path: Path) -> dict[str, str]:
    """Only a memory: a place that is lost costs another download."""
    try:
        said = json.loads(path.read_text("utf-8"))
        return {str(key): inside(str(place)) for key, place in said.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _hashes_before(path: Path) -> list[tuple[Any, ...]]:
    """A cache: what cannot be read is hashed again."""
    if not path.is_file():
        return []
    query = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM hashes_1"
    try:
        with closing(sqlite3.connect(path, WAIT_SECONDS)) as db:
            return db.execute(query).fetchall()
    except sqlite3.DatabaseError:
        return []
