"""What the studio remembers of weights, in the one SQLite file ``STATE_DIR/state.sqlite``.

Hashes and what headers say are kept by path and stamp and can be made again. Pins, the SHA-256
that each preset without one had when it was first used, cannot: so a broken file is an error and
never rebuilt. Several threads and processes share it; each call opens its own connection, and
SQLite locks.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

from studio.contract.base import is_sha256
from studio.errors import WeightsError
from studio.presets.rules import inside
from studio.storage.stamps import Stamp

T = TypeVar("T")

SCHEMA = 2
WAIT_SECONDS = 30.0
RACY_NS = 100_000_000
"""A file that changed this shortly before it was hashed could change again within the same
tick of the file system's clock; its hash is not remembered (git's "racy" index entries)."""

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
_SLUGS = (
    "CREATE TABLE slugs (slug TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER,"
    " mtime_ns INTEGER, inode TEXT, sha256 TEXT) WITHOUT ROWID"
)
_BEFORE = ("hashes.sqlite", "pins.json", "places.json")
"""What earlier releases wrote. It is taken over once and left as it is."""


@dataclass(frozen=True, slots=True)
class SlugOf:
    """Which file of the library has a slug, and what it is known by when it moves.

    Attributes:
        path: as ``key_of`` spells it.
        sha256: where it is known.
    """

    path: str
    size: int
    mtime_ns: int
    inode: str
    sha256: str | None


Stamped = Mapping[str, tuple[Stamp, str]]
"""Path, as ``key_of`` spells it → (stamp, what is remembered)."""


def key_of(file: str | os.PathLike[str]) -> str:
    """The path as SQLite can hold it; names that are not UTF-8 keep their bytes escaped."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def pinned(pins: Mapping[str, str], key: str) -> str | None:
    """What ``key`` is pinned to, by itself or by its slug alone."""
    return pins.get(key) or pins.get(slug_of(key))


def slug_of(key: str) -> str:
    """The preset's slug in a ``memory_key``."""
    return key.split(" ", 1)[0]


class State:
    """The state in ``folder``; the file and the folder are made when first written.

    Every method raises WeightsError where the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.sqlite"
        self._known: dict[Path, tuple[Stamp, str]] = {}

    # By path and stamp

    def sha256(self, file: Path, stamp: Stamp) -> str | None:
        """The hash ``file`` had when it had this ``stamp``."""
        known = self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        query = (
            "SELECT value FROM hashes WHERE path = ? AND size = ? AND mtime_ns = ?"
            " AND ctime_ns = ? AND inode = ?"
        )
        rows = self._read(query, (key_of(file), *stamp))
        if not rows:
            return None
        self._known[file] = (stamp, str(rows[0][0]))
        return self._known[file][1]

    def hashes(self) -> Stamped:
        """Every remembered hash: one question for thousands of files."""
        return self._stamped("hashes")

    def remember_hash(self, file: Path, stamp: Stamp, sha256: str) -> None:
        """Nothing, where the file is too fresh to be told from its next version."""
        if is_racy(stamp):
            return
        self._known[file] = (stamp, sha256)
        self._put("hashes", [(key_of(file), *stamp, sha256)])

    def forget_hashes(self, files: Sequence[Path]) -> None:
        """Hash these files anew when somebody asks next."""
        for file in files:
            self._known.pop(file, None)
        self._drop("hashes", [key_of(file) for file in files])

    def headers(self) -> Stamped:
        """What headers said, as the scan spells it."""
        return self._stamped("headers")

    def remember_headers(self, rows: Iterable[tuple[str, Stamp, str]]) -> None:
        """(path, stamp, text) of many files at once."""
        self._put("headers", [(path, *stamp, text) for path, stamp, text in rows])

    def forget_headers(self, paths: Sequence[str]) -> None:
        self._drop("headers", paths)

    # Pins

    def pins(self) -> dict[str, str]:
        """``memory_key`` → SHA-256; a slug alone stands for whatever the preset names."""
        return {str(key): str(value) for key, value in self._read("SELECT key, value FROM pins")}

    def pin(self, key: str, sha256: str) -> None:
        """Pin ``key``; the same pin again changes nothing.

        Raises:
            WeightsError: it is pinned to another hash.
        """
        if not is_sha256(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")

        def write(db: sqlite3.Connection) -> None:
            _refuse_another(_pins(db), key, sha256)
            db.execute("INSERT OR IGNORE INTO pins VALUES (?, ?)", (key, sha256))

        self._write(write)

    def check_pin(self, key: str, sha256: str) -> None:
        """Nothing, where ``key`` is not pinned or pinned to this hash.

        Raises:
            WeightsError: it is pinned to another hash.
        """
        _refuse_another(self.pins(), key, sha256)

    def unpin(self, slug: str) -> str:
        """Forget every pin of a preset, whatever it named, and return the last.

        Raises:
            WeightsError: the slug is not pinned.
        """

        def write(db: sqlite3.Connection) -> str:
            own = {key: value for key, value in _pins(db).items() if slug_of(key) == slug}
            if not own:
                raise WeightsError(f"{slug} is not pinned.", "It is pinned when it is first used.")
            db.executemany("DELETE FROM pins WHERE key = ?", [(key,) for key in own])
            return list(own.values())[-1]

        return self._write(write)

    # Where downloads without a path of their own were put

    def places(self) -> dict[str, str]:
        """``memory_key`` → path below MODEL_BASE_PATH; of presets that are gone as well."""
        rows = self._read("SELECT key, value FROM places")
        return {str(key): str(place) for key, place in rows}

    def settle(self, key: str, place: str) -> None:
        """Remember a place."""
        row = (key, inside(place))
        self._write(lambda db: db.execute("REPLACE INTO places VALUES (?, ?)", row))

    # The slugs of files that no preset names

    def slugs(self) -> dict[str, SlugOf]:
        """Slug → the file that has it; files that are gone keep theirs."""
        rows = self._read("SELECT slug, path, size, mtime_ns, inode, sha256 FROM slugs")
        return {str(row[0]): SlugOf(*row[1:]) for row in rows}

    def put_slugs(self, slugs: Mapping[str, SlugOf]) -> None:
        """Add these, or replace them."""
        rows = [(slug, *astuple(file)) for slug, file in slugs.items()]
        query = "REPLACE INTO slugs VALUES (?, ?, ?, ?, ?, ?)"
        self._write(lambda db: db.executemany(query, rows))

    # SQLite

    def _stamped(self, table: str) -> Stamped:
        query = f"SELECT path, size, mtime_ns, ctime_ns, inode, value FROM {table}"
        return {row[0]: (row[1:5], row[5]) for row in self._read(query)}

    def _put(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        query = f"REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)"
        self._write(lambda db: db.executemany(query, rows))

    def _drop(self, table: str, paths: Sequence[str]) -> None:
        query = f"DELETE FROM {table} WHERE path = ?"
        self._write(lambda db: db.executemany(query, [(path,) for path in paths]))

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self._is_empty():
            return []  # a list of presets must not need a folder that can be written
        with self._opened() as db:
            return db.execute(query, values).fetchall()

    def _is_empty(self) -> bool:
        if not os.path.lexists(self._folder):
            return True
        names = (self._path.name, *_BEFORE)
        return self._folder.is_dir() and not any((self._folder / name).exists() for name in names)

    def _write(self, action: Callable[[sqlite3.Connection], T]) -> T:
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
        db.execute(_SLUGS)
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


def is_racy(stamp: Stamp) -> bool:
    """Whether a file with this stamp could change again without another stamp."""
    return time.time_ns() - max(stamp[1], stamp[2]) < RACY_NS


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


def _pins(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT key, value FROM pins"))


def _refuse_another(pins: Mapping[str, str], key: str, sha256: str) -> None:
    expected, slug = pinned(pins, key), slug_of(key)
    if expected not in (None, sha256):
        raise WeightsError(
            f"{slug} was first used with SHA-256 {expected}, not {sha256}.",
            "Put the original file back, or accept the new one with "
            f"`studio presets repin {slug}`.",
        )


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
