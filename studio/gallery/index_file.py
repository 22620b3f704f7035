"""The file of the index: found, made anew, locked and connected to.

Each operation opens a connection of its own under a shared file lock, so threads, forks
and processes need not know of one another; replacing a broken index takes the lock alone.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from studio.errors import GalleryError
from studio.gallery.tables import INDEX_SCHEMA, TABLES
from studio.storage import atomic
from studio.storage.lock import lock, lock_shared

ABSENT = "there was none"
"""Why ``prepare`` made an index in a folder without one; every other reason is a fault."""

BUSY_TIMEOUT = 30.0
"""Seconds a writer waits for another one."""

_BROKEN = {
    sqlite3.SQLITE_ERROR,  # no such table or column
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}


class IndexBroken(GalleryError):
    """The index is missing, damaged or another release's; it can be made anew."""

    code = "index_broken"


class IndexFile:
    """The index at ``path`` of the pictures in ``root``."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.root = root

    def prepare(self) -> str | None:
        """Make sure there is a sound index; why a new, empty one was made, or None.

        Raises:
            GalleryError: when none can be made.
        """
        with self._locked(lock):
            problem = self._problem()
            if problem is not None:
                self._make_anew()
            return problem

    def _make_anew(self) -> None:
        with atomic.storing(self.root):
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.touch()
        with self._connect() as db:
            db.executescript(TABLES)

    def _problem(self) -> str | None:
        if not self.path.exists():
            return ABSENT
        try:
            with self._connect() as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version != INDEX_SCHEMA:
                    return f"it had schema version {version}, this studio has {INDEX_SCHEMA}"
                verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except IndexBroken as error:
            return f"it was damaged ({error.message})"
        return None if verdict == "ok" else f"it was damaged ({verdict})"

    @contextmanager
    def changing(self, remove: Iterable[str] = ()) -> Iterator[sqlite3.Connection]:
        """A transaction that removes items, for changes that are made all or not at all."""
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM items WHERE name = ?", ((name,) for name in remove))
            yield db
            db.execute("COMMIT")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection while no other process makes the index anew."""
        with self._locked(lock_shared), self._connect() as db:
            yield db

    @contextmanager
    def _locked(self, take: Callable[[int, Path], None]) -> Iterator[None]:
        held = self.path.with_name(f".{self.path.name}.lock")
        with atomic.storing(self.root):
            stream = held.open("a")
        with stream:
            take(stream.fileno(), held)
            yield

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """A connection that never creates a file; an open transaction is rolled back.

        It does not wait for the disk (synchronous = OFF): what a power failure does to the
        index is noticed when it is opened, and it can be made anew.
        """
        uri = f"{self.path.as_uri()}?mode=rw"
        try:
            db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
            with closing(db):
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA synchronous = OFF")
                yield db
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.DatabaseError) -> GalleryError:
        if re.search("no such (module|tokenizer)", str(error)):
            return GalleryError(
                f"This Python's SQLite {sqlite3.sqlite_version} cannot search texts: {error}.",
                "Use a Python whose SQLite is 3.34 or newer and has FTS5.",
            )
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
        if primary in _BROKEN:
            return IndexBroken(f"{self.path.name}: {error}", "Run `studio gallery reindex`.")
        return GalleryError(
            f"The gallery's index {self.path} cannot be used: {error}.",
            "Check that the disk has room and may be written, and that no program holds the file.",
        )
