"""A plan carried out: under a lock, resumed, checked, inspected, and only then in its place."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from studio.errors import HeaderError, WeightsError
from studio.inspection import LoraInspection
from studio.library.downloads.beside import write_beside
from studio.library.downloads.errors import (
    DiskFull,
    DownloadError,
    HashWrong,
    NotWeights,
    PlaceTaken,
    WrongFile,
)
from studio.library.downloads.part import Part, lock, part_of
from studio.library.downloads.plan import (
    Checking,
    DownloadEvent,
    DownloadPlan,
    Fetched,
    Meter,
    RemoteFile,
    Stopped,
    Waiting,
)
from studio.library.downloads.transfer import SiteTransfer, TransferCancelled, resumable
from studio.presets.model_card import Published, beside, read_published

LOOK_AGAIN = 0.2
"""Seconds between two looks at a lock that another holds."""
MARGIN = 64 * 2**20
"""Bytes of the disk that a download leaves free."""


class Shelf(Protocol):
    """What a download needs of the store."""

    def adopt(self, temporary: Path, target: Path) -> None:
        """Give a whole file its name, over nothing."""

    def inspect(self, path: Path) -> LoraInspection:
        """What a safetensors file is, from its header."""

    def sha256(self, path: Path) -> str:
        """Of a whole file, remembered while it does not change."""

    def keep(self, hashes: Mapping[Path, str]) -> None:
        """Remember the hashes of files that were just written and are whole."""


Cached = Callable[[RemoteFile], Path | None]
"""Where the same file lies on this disk already, if it does."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """How one plan is carried out.

    Attributes:
        root: MODEL_BASE_PATH.
    """

    plan: DownloadPlan
    root: Path
    shelf: Shelf
    transfer: SiteTransfer
    cached: Cached

    @property
    def cancel(self) -> threading.Event:
        return self.transfer.cancel

    @property
    def target(self) -> Path:
        return self.root / self.plan.target

    def run(self) -> Iterator[DownloadEvent]:
        """Everything that happens, ending with Fetched or Stopped.

        Raises:
            DownloadError, WeightsError, HeaderError: by their kinds; nothing half is left
            under the target's name.
        """
        try:
            yield from self._locked()
        except OSError as error:
            raise DownloadError(
                f"{self.target.name} cannot be written: {error.strerror or error}.",
                f"Check that {self.target.parent} can be written and has room.",
            ) from error

    def _locked(self) -> Iterator[DownloadEvent]:
        descriptor = yield from self._lock()
        if descriptor is None:
            return
        with Part(part_of(self.target), descriptor) as part:
            there = self._there()
            if there is not None:
                part.discard()
                yield there
                return
            try:
                with part.unless_empty():
                    yield from self._fill(self._demanded(), part)
            except TransferCancelled:
                yield Stopped(part.size)
                return
            yield self._adopted(part)

    def _lock(self, folder: bool = False) -> Generator[DownloadEvent, None, int | None]:
        """The lock on the part once nobody else has it; None where nothing is left to do: the
        weights came meanwhile, or a cancel did."""
        told = False
        while (there := self._there()) is None:
            descriptor = lock(part_of(self.target), folder)
            if descriptor is not None:
                return descriptor
            if not told:
                told = True
                yield Waiting(self.plan.target)
            if self.cancel.wait(LOOK_AGAIN):
                yield Stopped(0)
                return None
        yield there
        return None

    def _demanded(self) -> RemoteFile:
        """The file with the hash that counts: the preset's or the pinned one, if there is one."""
        (remote,) = self.plan.files
        expected = self.plan.expected_sha256
        if expected is None or remote.sha256 == expected:
            return remote
        if remote.sha256 is not None:
            raise HashWrong(remote.name, expected, remote.sha256)
        return remote.model_copy(update={"sha256": expected})

    def _there(self) -> Fetched | None:
        """Nothing where the target is not there; where it is, it must be the file that was meant.

        Where no hash is known, its size and the facts beside it must say so.
        """
        remote = self._demanded()
        if not self.target.exists():
            return None
        if remote.sha256 is None:
            if not self._is_said_to_be(remote):
                raise PlaceTaken(
                    f"A file is already at {self.plan.target}, and nothing shows that it is "
                    f"{remote.name} of {self.plan.published.page}.",
                    "Move it away, or give the preset another path.",
                )
            return Fetched(self.plan, self.target, already=True)
        found = self.shelf.sha256(self.target)
        if found != remote.sha256:
            raise PlaceTaken(
                f"Another file is already at {self.plan.target}: its SHA-256 is {found}, "
                f"not {remote.sha256}.",
                "Move it away, or give the preset another path.",
            )
        return Fetched(self.plan, self.target, already=True)

    def _is_said_to_be(self, remote: RemoteFile) -> bool:
        facts = beside(self.target)
        there = read_published(facts.read_bytes()) if facts.is_file() else None
        size = self.target.stat().st_size
        return there is not None and remote.size == size and _same(there, self.plan.published)

    def _fill(self, remote: RemoteFile, part: Part) -> Iterator[DownloadEvent]:
        yield from reread(self.cancel, remote, part)
        check_room(self.target.parent, (remote.size or 0) - part.size)
        meter = Meter(remote.size, part.size)
        for size in fill(self.transfer, remote, part, self.cached(remote)):
            event = meter.at(remote.name, size)
            if event is not None:
                yield event

    def _adopted(self, part: Part) -> Fetched:
        name = self.plan.files[0].name
        try:
            inspection = self.shelf.inspect(part.path)
        except HeaderError as error:
            part.discard()
            raise NotWeights(name, f"no usable safetensors file ({error.reason})") from error
        if inspection.kind != self.plan.kind:
            part.discard()
            wanted = "LoRA" if self.plan.kind == "lora" else self.plan.kind
            raise WrongFile(
                f"{name} is no {wanted} but {inspection.kind}; nothing was kept.",
                "Choose the right file or version on its page.",
            )
        # The facts come first: whoever meets the file finds what it is.
        note = write_beside(self.target, self.plan.published)
        try:
            self.shelf.adopt(part.path, self.target)
        except WeightsError:
            if note is None and not self.target.exists():
                beside(self.target).unlink(missing_ok=True)
            raise
        part.forget()
        self.shelf.keep({self.target: part.hash.hexdigest()})
        return Fetched(self.plan, self.target, notes=(note,) if note else ())


def _same(one: Published, other: Published) -> bool:
    """Whether both are facts about one published file."""
    names = ("source", "model_id", "version", "file_name", "size", "sha256")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def reread(cancel: threading.Event, remote: RemoteFile, part: Part) -> Iterator[DownloadEvent]:
    """Hash what was kept from last time, which the rest is added to."""
    if not part.size or not resumable(remote, part.validator):
        return
    part.rewind()
    size, done = part.size, 0
    while count := part.reread():
        done += count
        yield Checking(remote.name, done, size)
        if cancel.is_set():
            raise TransferCancelled


def fill(
    transfer: SiteTransfer, remote: RemoteFile, part: Part, cached: Path | None
) -> Iterator[int]:
    """The file's bytes from a copy on this disk, else from the network; yields the size."""
    if cached is not None and not part.size:
        yield from transfer.copy(remote, part, cached)
    else:
        yield from transfer.fetch(remote, part)


def check_room(folder: Path, needed: int) -> None:
    """Refuse before the first byte what the disk has no room for.

    Raises:
        DiskFull
    """
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    if needed > 0 and needed + MARGIN > free:
        raise DiskFull(folder, needed, free)
