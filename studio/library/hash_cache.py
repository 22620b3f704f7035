"""SHA-256 of files, remembered by path, size, times and inode in one SQLite file.

Several processes and threads share it: each call opens its own connection, and SQLite locks.
It can always be made again, so a broken file is set aside, said in the log, and rebuilt.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from studio.errors import WeightsError

log = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 30.0
RACY_NS = 100_000_000
"""A file that changed this shortly before it was hashed could change again within the same
tick of the file system's clock; its hash is not remembered (git's "racy" index entries)."""

_TABLE = """CREATE TABLE IF NOT EXISTS hashes_1 (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode TEXT,
    sha256 TEXT NOT NULL) WITHOUT ROWID"""

Stamp = tuple[int, int, int, str]
"""Size, mtime and ctime in nanoseconds, device and inode. The ctime, which no program can set,
catches a file that was written in place and given its old mtime back."""


def stamp_of(status: os.stat_result) -> Stamp:
    """What changes when a file changes; inodes may exceed SQLite's integers, hence text."""
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        f"{status.st_dev}:{status.st_ino}",
    )


class HashCache:
    """The cache in ``path``; the file and its folder are made when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Path, tuple[Stamp, str]] = {}

    def get(self, file: Path, stamp: Stamp) -> str | None:
        """The hash ``file`` had when it had this ``stamp``.

        Raises:
            WeightsError: the cache cannot be opened.
        """
        known = self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        query = (
            "SELECT sha256 FROM hashes_1 WHERE path = ? AND size = ? AND mtime_ns = ?"
            " AND ctime_ns = ? AND inode = ?"
        )
        found = self._run(lambda db: _first(db, query, (key_of(file), *stamp)))
        if found is not None:
            self._known[file] = (stamp, found)
        return found

    def all(self) -> dict[str, tuple[Stamp, str]]:
        """Every remembered file by its path: one question for thousands of files.

        Raises:
            WeightsError: the cache cannot be opened.
        """
        query = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM hashes_1"
        rows = self._run(lambda db: db.execute(query).fetchall())
        return {row[0]: ((row[1], row[2], row[3], row[4]), row[5]) for row in rows}

    def forget(self, files: Sequence[Path]) -> None:
        """Hash these files anew when somebody asks next.

        Raises:
            WeightsError: the cache cannot be written.
        """
        keys = [(key_of(file),) for file in files]
        for file in files:
            self._known.pop(file, None)
        self._run(lambda db: db.executemany("DELETE FROM hashes_1 WHERE path = ?", keys))

    def put(self, file: Path, stamp: Stamp, sha256: str) -> None:
        """Remember the hash, unless the file is too fresh to be told from its next version.

        Raises:
            WeightsError: the cache cannot be written.
        """
        if time.time_ns() - max(stamp[1], stamp[2]) < RACY_NS:
            return
        self._known[file] = (stamp, sha256)
        row = (key_of(file), *stamp, sha256)
        self._run(lambda db: db.execute("REPLACE INTO hashes_1 VALUES (?, ?, ?, ?, ?, ?)", row))

    def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._once(action)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._set_aside(error)
                return self._once(action)
        except (OSError, sqlite3.DatabaseError) as error:
            raise WeightsError(
                f"The cache of file hashes, {self._path}, cannot be used: {error}.",
                "Let the studio write there, or set STATE_DIR to another folder.",
                self._path,
            ) from error

    def _once(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(self._path, WAIT_SECONDS, isolation_level=None)) as db:
            db.execute(_TABLE)
            return action(db)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        broken = self._path.with_name(self._path.name + ".broken")
        log.warning(
            "hash cache %s is broken (%s); rebuilt, the old one is %s",
            self._path,
            error,
            broken.name,
        )
        self._path.replace(broken)


def key_of(file: Path) -> str:
    """The path as SQLite can hold it; names that are not UTF-8 keep their bytes escaped."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _first(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> str | None:
    row = db.execute(query, values).fetchone()
    return None if row is None else str(row[0])
