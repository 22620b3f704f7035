"""Every LoRA under a folder: what it is, remembered while the file does not change.

A warm scan lists the folders and asks the cache once; only new or changed files are opened.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.errors import HeaderError, WeightsError
from studio.library.files import read_inspection
from studio.library.folder import INDEX
from studio.library.hash_cache import HashCache, Stamp, key_of, stamp_of

WAIT_SECONDS = 30.0
SUFFIX = ".safetensors"
_TABLE = """CREATE TABLE IF NOT EXISTS verdicts_1 (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode TEXT,
    verdict TEXT NOT NULL) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file is, in short; ``problem`` says why it cannot be told."""

    kind: str = ""
    architecture: str = ""
    variant: str | None = None
    format: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A file that lies there.

    Attributes:
        path: below the scanned folder, ``/``-separated.
        sha256: where it is known; a scan hashes nothing.
    """

    path: str
    size: int
    verdict: Verdict
    sha256: str | None


Progress = Callable[[int, int], None]
"""(files read, files to read), after each."""


def scan(
    root: Path, state: Path, hashes: HashCache, progress: Progress | None = None
) -> tuple[Held, ...]:
    """Every safetensors file below ``root`` that is not part of a base model's folder.

    Hidden names are left out, and so are links that lead out of ``root``.

    Raises:
        WeightsError: the studio's own state cannot be used.
    """
    found = sorted(_walk(str(root), ""))
    known = _remembered(state)
    keys = {relative: key_of(Path(root, relative)) for relative, _ in found}
    fresh = [
        (relative, stamp)
        for relative, stamp in found
        if known.get(keys[relative], (None, None))[0] != stamp
    ]
    verdicts: dict[str, Verdict] = {}
    for count, (relative, _) in enumerate(fresh, 1):
        verdicts[relative] = _verdict(root / relative)
        if progress is not None:
            progress(count, len(fresh))
    if fresh:
        rows = [(keys[name], *stamp, verdicts[name]) for name, stamp in fresh]
        _remember(state, rows)
    sums = hashes.all()
    return tuple(
        Held(
            path=relative,
            size=stamp[0],
            verdict=verdicts.get(relative) or known[keys[relative]][1],
            sha256=_same(sums.get(keys[relative]), stamp),
        )
        for relative, stamp in found
    )


def _same(known: tuple[Stamp, str] | None, stamp: Stamp) -> str | None:
    return known[1] if known is not None and known[0] == stamp else None


def _walk(folder: str, relative: str) -> Iterator[tuple[str, Stamp]]:
    """(path below the root, stamp); folders that may not be read are passed over."""
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except OSError:
        return
    if any(entry.name == INDEX for entry in entries):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{relative}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIX) and _is_inside(entry, relative):
                yield f"{relative}{entry.name}", stamp_of(entry.stat())
        except OSError:
            continue  # it vanished, or is a link to nothing


def _is_inside(entry: os.DirEntry[str], relative: str) -> bool:
    """A file of its own, or a link to one below the same root."""
    if not entry.is_symlink():
        return entry.is_file()
    root = Path(entry.path).parents[relative.count("/")]
    return entry.is_file() and Path(entry.path).resolve().is_relative_to(root.resolve())


def _verdict(path: Path) -> Verdict:
    try:
        inspection = read_inspection(path)
    except HeaderError as error:
        return Verdict(problem=f"{error.reason}.")
    except WeightsError as error:
        return Verdict(problem=error.message)
    return Verdict(inspection.kind, inspection.architecture, inspection.variant, inspection.format)


def _remembered(state: Path) -> Mapping[str, tuple[Stamp, Verdict]]:
    query = "SELECT path, size, mtime_ns, ctime_ns, inode, verdict FROM verdicts_1"
    rows = _ask(state, lambda db: db.execute(query).fetchall())
    verdicts: dict[str, Verdict] = {}  # a few dozen texts stand for thousands of files
    found = {}
    for path, size, mtime, ctime, inode, text in rows:
        verdict = verdicts.get(text)
        if verdict is None:
            verdict = verdicts[text] = Verdict(**json.loads(text))
        found[path] = ((size, mtime, ctime, inode), verdict)
    return found


def _remember(state: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    spelled = [(*row[:-1], json.dumps(asdict(row[-1]))) for row in rows]

    def write(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        db.execute("BEGIN")
        db.executemany("REPLACE INTO verdicts_1 VALUES (?, ?, ?, ?, ?, ?)", spelled)
        db.execute("COMMIT")
        return []

    _ask(state, write)


def forget_absent(root: Path, state: Path, present: Sequence[str]) -> int:
    """Drop what is remembered of files below ``root`` that are gone; how many."""
    there = {key_of(Path(root, relative)) for relative in present}
    below = f"{key_of(root)}{os.sep}"
    gone = [(path,) for path in _remembered(state) if path.startswith(below) and path not in there]

    def delete(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        db.executemany("DELETE FROM verdicts_1 WHERE path = ?", gone)
        return []

    _ask(state, delete)
    return len(gone)


def _ask(
    state: Path, action: Callable[[sqlite3.Connection], list[tuple[Any, ...]]]
) -> list[tuple[Any, ...]]:
    """Ask the cache; a broken one is thrown away, for it can be made again."""
    path = state / "verdicts.sqlite"
    try:
        state.mkdir(parents=True, exist_ok=True)
        try:
            return _once(path, action)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            return _once(path, action)
    except (OSError, sqlite3.DatabaseError) as error:
        raise WeightsError(
            f"The cache of what files are, {path}, cannot be used: {error}.",
            "Let the studio write there, or set STATE_DIR to another folder.",
            path,
        ) from error


def _once(
    path: Path, action: Callable[[sqlite3.Connection], list[tuple[Any, ...]]]
) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, WAIT_SECONDS, isolation_level=None)) as db:
        db.execute(_TABLE)
        return action(db)
