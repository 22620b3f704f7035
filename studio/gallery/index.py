"""The SQLite index beside the pictures: quick to ask, never the truth, made anew at will.

Each operation opens a connection of its own under a shared file lock, so threads, forks
and processes need not know of one another; replacing a broken index takes the lock alone.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from studio.architecture import Mode
from studio.errors import GalleryError
from studio.gallery.row import EPOCH, MICROSECOND, Facet, Facets, FileStamp, Filter, Picture, Row
from studio.storage import atomic
from studio.storage.lock import lock, lock_shared

INDEX_SCHEMA = 5
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
_TABLES = f"""
    PRAGMA journal_mode = WAL;
    BEGIN;
    CREATE TABLE pictures (
        name TEXT PRIMARY KEY, created INTEGER NOT NULL, size INTEGER NOT NULL,
        modified INTEGER NOT NULL, base TEXT NOT NULL, base_label TEXT NOT NULL,
        mode TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        record TEXT NOT NULL, pixels TEXT NOT NULL, words TEXT NOT NULL);
    CREATE INDEX newest ON pictures (created DESC, name DESC);
    CREATE TABLE picture_loras (
        name TEXT NOT NULL REFERENCES pictures ON DELETE CASCADE,
        lora TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (name, lora)) WITHOUT ROWID;
    CREATE INDEX by_lora ON picture_loras (lora);
    CREATE INDEX by_plan ON pictures (fingerprint);
    CREATE INDEX by_record ON pictures (record);
    CREATE INDEX by_pixels ON pictures (pixels);
    CREATE TABLE comparisons (
        name TEXT PRIMARY KEY, created INTEGER NOT NULL, size INTEGER NOT NULL,
        modified INTEGER NOT NULL, title TEXT NOT NULL, summary TEXT NOT NULL,
        verdict TEXT NOT NULL, cells INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        kind TEXT NOT NULL);
    CREATE TABLE comparison_cells (
        comparison TEXT NOT NULL REFERENCES comparisons ON DELETE CASCADE,
        picture TEXT NOT NULL, own INTEGER NOT NULL);
    CREATE INDEX by_picture ON comparison_cells (picture);
    CREATE INDEX by_comparison ON comparison_cells (comparison);
    CREATE TABLE picture_references (
        name TEXT NOT NULL REFERENCES pictures ON DELETE CASCADE,
        sha256 TEXT NOT NULL, PRIMARY KEY (name, sha256)) WITHOUT ROWID;
    CREATE INDEX by_reference ON picture_references (sha256);
    PRAGMA user_version = {INDEX_SCHEMA};
    COMMIT;
"""
_COLUMNS = (
    "name, created, base, base_label, mode, prompt, seed, width, height, fingerprint, record, "
    "(SELECT json_group_array(lora) FROM picture_loras l WHERE l.name = p.name)"
)

Cursor = tuple[datetime, str]
"""A place in the order of the gallery: created and name of the picture before it."""


class IndexBroken(GalleryError):
    """The index is missing, damaged or another release's; it can be made anew."""

    code = "index_broken"


class PictureIndex:
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
        try:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.touch()
        except OSError as error:
            raise atomic.storage_error(error, self.root) from error
        with self._connect() as db:
            db.executescript(_TABLES)

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

    def change(self, add: Iterable[Row] = (), remove: Iterable[str] = ()) -> None:
        """Add or replace rows and remove others, all of it or nothing.

        Raises:
            IndexBroken: as every operation, when there is no sound index.
            GalleryError: when the index cannot be written.
        """
        marks = ", ".join("?" * 15)
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM pictures WHERE name = ?", ((name,) for name in remove))
            for row in add:
                name = row.columns[0]
                db.execute("DELETE FROM pictures WHERE name = ?", (name,))
                db.execute(f"INSERT INTO pictures VALUES ({marks})", row.columns)
                loras = ((name, *lora) for lora in row.loras)
                db.executemany("INSERT INTO picture_loras VALUES (?, ?, ?)", loras)
                uses = ((name, sha256) for sha256 in row.references)
                db.executemany("INSERT INTO picture_references VALUES (?, ?)", uses)
            db.execute("COMMIT")

    def stamps(self) -> dict[str, FileStamp]:
        """Every file in the index → its stamp when it was read."""
        with self.connection() as db:
            rows = db.execute("SELECT name, size, modified FROM pictures")
            return {name: (size, modified) for name, size, modified in rows}

    def references_of(self, name: str) -> list[str]:
        """SHA-256 of the reference images a picture was made from."""
        sql = "SELECT sha256 FROM picture_references WHERE name = ?"
        with self._locked(lock_shared), self._connect() as db:
            return [str(sha256) for (sha256,) in db.execute(sql, (name,))]

    def uses_reference(self, sha256: str) -> bool:
        """Whether any picture was made from this reference image."""
        sql = "SELECT 1 FROM picture_references WHERE sha256 = ? LIMIT 1"
        with self._locked(lock_shared), self._connect() as db:
            return db.execute(sql, (sha256,)).fetchone() is not None

    def page(self, wanted: Filter, limit: int, after: Cursor | None) -> list[Picture]:
        """At most ``limit`` pictures, newest first, older than ``after`` (created, name)."""
        clause, values = where(wanted, after)
        sql = (
            f"SELECT {_COLUMNS} FROM pictures p {clause} ORDER BY created DESC, name DESC LIMIT ?"
        )
        with self.connection() as db:
            return [self._picture(row) for row in db.execute(sql, (*values, limit))]

    def count(self, wanted: Filter) -> int:
        """How many pictures agree with ``wanted``."""
        clause, values = where(wanted, None)
        with self.connection() as db:
            found = db.execute(f"SELECT count(*) FROM pictures p {clause}", values).fetchone()
        return int(found[0])

    def named(self, names: Sequence[str]) -> list[Picture]:
        """The pictures of these names that the index has, in no order."""
        marks = ", ".join("?" * len(names))
        sql = f"SELECT {_COLUMNS} FROM pictures p WHERE name IN ({marks})"
        with self.connection() as db:
            return [self._picture(row) for row in db.execute(sql, tuple(names))]

    def having(
        self, column: Literal["fingerprint", "record", "pixels"], value: str
    ) -> list[Picture]:
        """The pictures of a plan's or a record's fingerprint or of a pixel hash, newest first."""
        sql = f"SELECT {_COLUMNS} FROM pictures p WHERE {column} = ? ORDER BY created DESC"
        with self.connection() as db:
            return [self._picture(row) for row in db.execute(sql, (value,))]

    def facets(self) -> Facets:
        """Which bases, LoRAs and modes occur, and how often."""
        group = "SELECT {0}, max({1}), count(*) FROM {2} GROUP BY {0} ORDER BY 3 DESC, 1"
        with self.connection() as db:
            total = int(db.execute("SELECT count(*) FROM pictures").fetchone()[0])
            bases = db.execute(group.format("base", "base_label", "pictures")).fetchall()
            loras = db.execute(group.format("lora", "label", "picture_loras")).fetchall()
            modes = db.execute(group.format("mode", "mode", "pictures")).fetchall()
        return Facets(
            total,
            tuple(Facet(*row) for row in bases),
            tuple(Facet(*row) for row in loras),
            tuple(Facet(mode, Mode(mode).label, count) for mode, _, count in modes),
        )

    def _picture(self, row: tuple[object, ...]) -> Picture:
        name, created, base, label, mode, prompt, seed, width, height, plan, record, loras = row
        return Picture(
            path=self.root / str(name),
            name=str(name),
            created=EPOCH + int(str(created)) * MICROSECOND,
            base=str(base),
            base_label=str(label),
            mode=Mode(str(mode)),
            prompt=str(prompt),
            seed=int(str(seed)),
            width=int(str(width)),
            height=int(str(height)),
            fingerprint=str(plan),
            record=str(record),
            loras=tuple(sorted(json.loads(str(loras)))),
        )

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection while no other process makes the index anew."""
        with self._locked(lock_shared), self._connect() as db:
            yield db

    @contextmanager
    def _locked(self, take: Callable[[int, Path], None]) -> Iterator[None]:
        held = self.path.with_name(f".{self.path.name}.lock")
        try:
            stream = held.open("a")
        except OSError as error:
            raise atomic.storage_error(error, self.root) from error
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
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
        if primary in _BROKEN:
            return IndexBroken(f"{self.path.name}: {error}", "Run `studio gallery reindex`.")
        return GalleryError(
            f"The gallery's index {self.path} cannot be used: {error}.",
            "Check that the disk has room and may be written, and that no program holds the file.",
        )


def where(
    wanted: Filter, after: Cursor | None, also: str | None = None
) -> tuple[str, tuple[str | int, ...]]:
    """The WHERE clause (empty for no condition) and its values; ``also`` is a condition of SQL."""
    terms: list[tuple[str, tuple[str | int, ...]]] = []
    if wanted.base is not None:
        terms.append(("base = ?", (wanted.base,)))
    if wanted.mode is not None:
        terms.append(("mode = ?", (wanted.mode.value,)))
    if wanted.lora is not None:
        sql = "name IN (SELECT name FROM picture_loras WHERE lora = ?)"
        terms.append((sql, (wanted.lora,)))
    terms += [("instr(words, ?) > 0", (word,)) for word in wanted.words.casefold().split()]
    if after is not None:
        created, name = after
        terms.append(("(created, name) < (?, ?)", ((created - EPOCH) // MICROSECOND, name)))
    if also is not None:
        terms.append((also, ()))
    clause = "WHERE " + " AND ".join(sql for sql, _ in terms) if terms else ""
    return clause, tuple(value for _, values in terms for value in values)
