"""Hashes of weight files, remembered while the files do not change."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from studio.contract.base import Contract
from studio.errors import WeightsError
from studio.library.files import ByteProgress, Hashes, hash_file, read_header, unreadable
from studio.library.places import WeightPlaces
from studio.library.state import RACY_NS, is_racy, pinned
from studio.presets import Preset
from studio.presets.catalog import memory_key
from studio.settings import Settings
from studio.storage.atomic import Stamp, stamp_of


class Repinned(Contract):
    """A preset whose pin was given up: the file's hash is pinned anew on its next use."""

    slug: str
    forgotten: str


class HashedWeights(WeightPlaces):
    """The weights and their hashes; safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._lock = threading.Lock()
        self._turns: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

    def sha256(self, path: Path, progress: ByteProgress | None = None) -> str:
        """SHA-256 of a file, from the cache while its size, times and inode are the same.

        Raises:
            WeightsError: it cannot be read, or changed while it was read.
        """
        with self._lock:
            turn = self._turns[path]
        with turn:  # two threads never hash one file at the same time
            stamp = stamp_at(path)
            known = self.state.sha256(path, stamp)
            if known is not None:
                return known
            sha256 = hash_file(path, progress=progress).sha256
            _unchanged(path, stamp)
            self.state.remember_hash(path, stamp, sha256)
            return sha256

    def hashes(self, path: Path, progress: ByteProgress | None = None) -> Hashes:
        """Both hashes of a safetensors file, remembered; reads it unless both are known.

        Raises:
            HeaderError, WeightsError: as ``read_header`` and ``sha256``.
        """
        stamp = stamp_at(path)
        sha256 = self.state.sha256(path, stamp)
        tensors = self.state.tensors_sha256(path, stamp)
        if sha256 is not None and tensors is not None:
            return Hashes(sha256, tensors)
        found = hash_file(path, read_header(path).size, progress)
        _unchanged(path, stamp)
        _settle([stamp])
        self.state.remember_hash(path, stamp, found.sha256, found.data_sha256)
        return found

    def keep(self, hashes: Mapping[Path, str]) -> None:
        """Remember the hashes of files that were just written and are whole, so that nobody
        reads them again; waits until each can be told from its next version.

        Raises:
            WeightsError: a file cannot be read, or the state cannot be written.
        """
        stamps = {path: stamp_at(path) for path in hashes}
        _settle(stamps.values())
        for path, stamp in stamps.items():
            if stamp_at(path) == stamp:
                self.state.remember_hash(path, stamp, hashes[path])

    def verify(self, path: Path, sha256: str, size: int) -> Stamp:
        """Check, right before a run, that a file is still the one a plan names.

        Returns:
            the stamp that it had before it was looked at: while it has it, it is that file.

        Raises:
            WeightsError: naming what changed.
        """
        stamp = settled_stamp(path)
        found_size = stamp[0]
        found = self.sha256(path) if found_size == size else None
        if found == sha256:
            return stamp
        what = (
            f"it has {found_size:,} bytes, not {size:,}"
            if found is None
            else f"its SHA-256 is {found}, not {sha256}"
        )
        raise WeightsError(
            f"{path.name} is not the file that the plan names: {what}.",
            "Resolve the request again, or put the original file back.",
            path,
        )

    def rehash(self, preset: Preset) -> None:
        """Read a preset's files again when they are asked for next, whatever is remembered."""
        path = self.locate(preset)
        files = [path] if not path.is_dir() else [p for p in path.rglob("*") if p.is_file()]
        self.state.forget_hashes(files)

    def pins_of(self, presets: Iterable[Preset]) -> dict[str, str]:
        """Slug → the SHA-256 that these presets, with the origins they name, are pinned to."""
        pins = self.state.pins()
        found = ((preset.slug, pinned(pins, memory_key(preset))) for preset in presets)
        return {slug: sha256 for slug, sha256 in found if sha256 is not None}

    def repin(self, slug: str) -> Repinned:
        """Forget the SHA-256 a preset was pinned to, so that its next use pins the new one.

        Raises:
            WeightsError: the preset is not pinned.
        """
        return Repinned(slug=slug, forgotten=self.state.unpin(slug))


def stamp_at(path: Path) -> Stamp:
    try:
        return stamp_of(path.stat())
    except OSError as error:
        raise unreadable(path, error) from error


def settled_stamp(path: Path) -> Stamp:
    """The stamp of a file or folder, once its next change cannot have the same.

    Raises:
        WeightsError: it cannot be read.
    """
    stamp = stamp_at(path)
    if not is_racy(stamp):
        return stamp
    _settle([stamp])
    return stamp_at(path)


def _unchanged(path: Path, stamp: Stamp) -> None:
    if stamp_at(path) != stamp:
        raise WeightsError(
            f"{path.name} changed while it was read.", "Try again when it is whole.", path
        )


def _settle(stamps: Iterable[Stamp]) -> None:
    """Wait until files with these stamps can be told from their next versions."""
    newest = max((max(stamp[1:3]) for stamp in stamps), default=0)
    # A time in the future is no reason to wait for it.
    time.sleep(min(RACY_NS, max(0, newest + RACY_NS - time.time_ns())) / 1e9)
