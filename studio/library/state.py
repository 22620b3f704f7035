"""What the studio remembers of weights, in the one SQLite file ``STATE_DIR/state.sqlite``.

Hashes and what headers say are kept by path and stamp and can be made again. Pins, the SHA-256
that each preset without one had when it was first used, cannot: so a broken file is an error and
never rebuilt.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from studio.contract.base import is_sha256
from studio.errors import WeightsError
from studio.library.state_file import StateFile
from studio.presets.rules import inside
from studio.storage.atomic import Stamp

RACY_NS = 100_000_000
"""A file that changed this shortly before it was hashed could change again within the same
tick of the file system's clock; its hash is not remembered (git's "racy" index entries)."""

AHEAD_NS = 86_400_000_000_000
"""As far ahead as the clock of a disk's machine may be."""


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


@dataclass(frozen=True, slots=True)
class AnswerOf:
    """What a site said of a file by its hash, as JSON.

    Attributes:
        asked: when, in seconds since 1970.
        published: the publisher's facts; empty where the site knows no such file.
        newer: a newer version that it lists; empty where it lists none.
    """

    asked: float
    published: str
    newer: str


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
        self._file = StateFile(folder)
        self._known: dict[Path, tuple[Stamp, str]] = {}

    # By path and stamp

    def sha256(self, file: Path, stamp: Stamp) -> str | None:
        """The hash ``file`` had when it had this ``stamp``."""
        known = self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._one("hashes", file, stamp)
        if found is not None:
            self._known[file] = (stamp, found)
        return found

    def tensors_sha256(self, file: Path, stamp: Stamp) -> str | None:
        """The same of its tensors' bytes alone."""
        return self._one("tensors", file, stamp)

    def hashes(self) -> Stamped:
        """Every remembered hash: one question for thousands of files."""
        return self._stamped("hashes")

    def tensor_hashes(self) -> Stamped:
        """Every remembered hash of tensors' bytes alone."""
        return self._stamped("tensors")

    def remember_hash(
        self, file: Path, stamp: Stamp, sha256: str, tensors: str | None = None
    ) -> None:
        """Nothing, where the file is too fresh to be told from its next version.

        Args:
            tensors: SHA-256 of the tensors' bytes alone, where it was computed too.
        """
        if is_racy(stamp):
            return
        self._known[file] = (stamp, sha256)
        self._put("hashes", [(key_of(file), *stamp, sha256)])
        if tensors is not None:
            self._put("tensors", [(key_of(file), *stamp, tensors)])

    def forget_hashes(self, files: Sequence[Path]) -> None:
        """Hash these files anew when somebody asks next."""
        for file in files:
            self._known.pop(file, None)
        for table in ("hashes", "tensors"):
            self._drop(table, [key_of(file) for file in files])

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
        return {
            str(key): str(value) for key, value in self._file.read("SELECT key, value FROM pins")
        }

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

        self._file.write(write)

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

        return self._file.write(write)

    # Where downloads without a path of their own were put

    def places(self) -> dict[str, str]:
        """``memory_key`` → path below MODEL_BASE_PATH; of presets that are gone as well."""
        return dict(self._file.read("SELECT key, value FROM places"))

    def settle(self, key: str, place: str) -> None:
        """Remember a place."""
        row = (key, inside(place))
        self._file.write(lambda db: db.execute("REPLACE INTO places VALUES (?, ?)", row))

    # The slugs of files that no preset names

    def slugs(self) -> dict[str, SlugOf]:
        """Slug → the file that has it; files that are gone keep theirs."""
        rows = self._file.read("SELECT slug, path, size, mtime_ns, inode, sha256 FROM slugs")
        return {str(row[0]): SlugOf(*row[1:]) for row in rows}

    def put_slugs(self, slugs: Mapping[str, SlugOf]) -> None:
        """Add these, or replace them."""
        rows = [(slug, *astuple(file)) for slug, file in slugs.items()]
        query = "REPLACE INTO slugs VALUES (?, ?, ?, ?, ?, ?)"
        self._file.write(lambda db: db.executemany(query, rows))

    # What a site said

    def answers(self) -> dict[str, AnswerOf]:
        """SHA-256 of a file → what a site said of it."""
        rows = self._file.read("SELECT sha256, asked, published, newer FROM answers")
        return {row[0]: AnswerOf(*row[1:]) for row in rows}

    def answer(self, sha256: str) -> AnswerOf | None:
        query = "SELECT asked, published, newer FROM answers WHERE sha256 = ?"
        rows = self._file.read(query, (sha256,))
        return AnswerOf(*rows[0]) if rows else None

    def put_answers(self, answers: Mapping[str, AnswerOf]) -> None:
        """Add these, or replace them."""
        rows = [(sha256, *astuple(answer)) for sha256, answer in answers.items()]
        query = "REPLACE INTO answers VALUES (?, ?, ?, ?)"
        self._file.write(lambda db: db.executemany(query, rows))

    # What people picked out

    def favourites(self) -> frozenset[str]:
        """Slugs; of LoRAs that are gone as well."""
        return frozenset(str(slug) for (slug,) in self._file.read("SELECT slug FROM favourites"))

    def favour(self, slug: str, favoured: bool) -> None:
        """Add a slug to the favourites, or take it out."""
        change = "INSERT OR IGNORE INTO favourites VALUES (?)"
        query = change if favoured else "DELETE FROM favourites WHERE slug = ?"
        self._file.write(lambda db: db.execute(query, (slug,)))

    # Tables by path and stamp

    def _one(self, table: str, file: Path, stamp: Stamp) -> str | None:
        query = (
            f"SELECT value FROM {table} WHERE path = ? AND size = ? AND mtime_ns = ?"
            " AND ctime_ns = ? AND inode = ?"
        )
        rows = self._file.read(query, (key_of(file), *stamp))
        return str(rows[0][0]) if rows else None

    def _stamped(self, table: str) -> Stamped:
        query = f"SELECT path, size, mtime_ns, ctime_ns, inode, value FROM {table}"
        return {row[0]: (row[1:5], row[5]) for row in self._file.read(query)}

    def _put(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        query = f"REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)"
        self._file.write(lambda db: db.executemany(query, rows))

    def _drop(self, table: str, paths: Sequence[str]) -> None:
        query = f"DELETE FROM {table} WHERE path = ?"
        self._file.write(lambda db: db.executemany(query, [(path,) for path in paths]))


def is_racy(stamp: Stamp) -> bool:
    """Whether a file with this stamp could change again without another stamp.

    A file of a far future gets a stamp of today when it changes; one of the near future may lie
    on a machine whose clock is ahead.
    """
    age = time.time_ns() - max(stamp[1], stamp[2])
    return -AHEAD_NS < age < RACY_NS


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
