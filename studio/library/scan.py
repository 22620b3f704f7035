"""Every LoRA under a folder: what it is, remembered while the file does not change.

A warm scan lists the folders and asks the cache once; only new or changed files are opened.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.errors import HeaderError, WeightsError
from studio.library.files import read_inspection
from studio.library.folder import INDEX
from studio.library.state import Stamp, State, key_of, stamp_of

SUFFIX = ".safetensors"


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


def scan(root: Path, state: State, progress: Progress | None = None) -> tuple[Held, ...]:
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
        state.remember_headers(
            (keys[name], stamp, json.dumps(asdict(verdicts[name]))) for name, stamp in fresh
        )
    sums = state.hashes()
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


def _remembered(state: State) -> Mapping[str, tuple[Stamp, Verdict]]:
    verdicts: dict[str, Verdict] = {}  # a few dozen texts stand for thousands of files
    found = {}
    for path, (stamp, text) in state.headers().items():
        verdict = verdicts.get(text)
        if verdict is None:
            verdict = verdicts[text] = Verdict(**json.loads(text))
        found[path] = (stamp, verdict)
    return found


def forget_absent(root: Path, state: State, present: Sequence[str]) -> int:
    """Drop what is remembered of files below ``root`` that are gone; how many."""
    there = {key_of(Path(root, relative)) for relative in present}
    below = f"{key_of(root)}{os.sep}"
    gone = [path for path in state.headers() if path.startswith(below) and path not in there]
    state.forget_headers(gone)
    return len(gone)
