"""The publisher's facts beside the weights, and what downloads that never ended have left."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.library.downloads.part import PART, lock, part_of
from studio.presets.model_card import Published, beside, read_published


def write_beside(weights: Path, published: Published) -> str | None:
    """Write ``NAME.json``; a sentence where another tool's file of that name is kept instead.

    Raises:
        OSError: the disk does not take it.
    """
    target = beside(weights)
    if target.exists() and read_published(target.read_bytes()) is None:
        return f"{target.name} is another program's and is kept, without the publisher's facts."
    text = published.model_dump_json(indent=1, exclude_none=True) + "\n"
    # Only who fetches the weights writes here, and holds their lock.
    temporary = part_of(target)
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
    return None


@dataclass(frozen=True, slots=True)
class Leftover:
    """A part, or a publisher's facts whose weights are gone; ``size`` in bytes."""

    path: Path
    size: int
    reason: str


def leftovers(root: Path) -> Iterator[Leftover]:
    """Everything that may go; parts that somebody is fetching are not among it."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        for name in [name for name in folders if name.startswith(".")]:
            folders.remove(name)
            if name.endswith(PART) and not _in_use(here / name, folder=True):
                yield Leftover(here / name, _size_of(here / name), "an unfinished model")
        for name in names:
            reason = _reason(here / name)
            if reason is not None:
                yield Leftover(here / name, (here / name).stat().st_size, reason)


def _reason(path: Path) -> str | None:
    """Why a file may go; None for what stays."""
    name = path.name
    if name.startswith(".") and name.endswith(PART):
        return None if _in_use(path) else "an unfinished download"
    if name.startswith(".") and name.endswith(f"{PART}.json"):
        return None if path.with_suffix("").exists() else "the note of a download"
    if name.endswith(".json") and _is_orphan(path):
        return "facts whose weights are gone"
    return None


def remove(leftover: Leftover) -> bool:
    """Delete it; False where somebody has taken it up meanwhile."""
    path = leftover.path
    folder = path.is_dir()
    if path.name.endswith(PART) and _in_use(path, folder):
        return False
    if folder:
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
        if path.name.endswith(PART):
            path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    return True


def _in_use(path: Path, folder: bool = False) -> bool:
    if not path.exists():
        return False
    descriptor = lock(path, folder)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _is_orphan(path: Path) -> bool:
    """The studio's own facts, with no weights of that name beside them."""
    if path.with_suffix(".safetensors").exists() or path.with_suffix("").is_dir():
        return False
    if not path.is_file() or path.stat().st_size > 2**20:
        return False
    return read_published(path.read_bytes()) is not None


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
