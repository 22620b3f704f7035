"""A model's folder fetched: file by file into a folder beside, which then gets its name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from studio.architecture.diffusers_folder import INDEX
from studio.library.downloads.beside import write_beside
from studio.library.downloads.errors import PlaceTaken
from studio.library.downloads.fetching import Fetch, check_room, fill, reread
from studio.library.downloads.part import PART, Part, identity, lock, part_of
from studio.library.downloads.plan import (
    DownloadEvent,
    Fetched,
    Meter,
    RemoteFile,
    Stopped,
)
from studio.library.downloads.transfer import TransferCancelled
from studio.storage.atomic import sync_folder

DONE = ".done.json"
"""Name → identity of the files that are whole; what another revision left is fetched anew."""


@dataclass(frozen=True, slots=True)
class FetchFolder(Fetch):
    """How one model's plan is carried out.

    The files lie in ``.NAME.lora-studio.part/`` until all are whole, so that nobody meets half
    a model.
    """

    @property
    def staging(self) -> Path:
        return part_of(self.target)

    def _locked(self) -> Iterator[DownloadEvent]:
        descriptor = yield from self._lock(folder=True)
        if descriptor is None:
            return
        try:
            there = self._there()
            if there is not None:
                self.staging.rmdir()
                yield there
                return
            hashes: dict[str, str] = {}
            yield from self._fetched(hashes)
            note = self._adopt()
            self.shelf.keep({self.target / name: sha256 for name, sha256 in hashes.items()})
        except TransferCancelled:
            yield Stopped(self._kept())
            return
        finally:
            with suppress(OSError):
                self.staging.rmdir()  # only where nothing came
            os.close(descriptor)
        yield Fetched(self.plan, self.target, notes=(note,) if note else ())

    def _there(self) -> Fetched | None:
        if not self.target.exists():
            return None
        if (self.target / INDEX).is_file():
            return Fetched(self.plan, self.target, already=True)
        with suppress(OSError):
            self.target.rmdir()  # an empty folder stands in nobody's way
            return None
        raise PlaceTaken(
            f"{self.plan.target} is there and holds no model.",
            "Move it away, or give the preset another path.",
        )

    def _fetched(self, hashes: dict[str, str]) -> Iterator[DownloadEvent]:
        """Fetch what is missing; the SHA-256 of what came goes into ``hashes``."""
        done = self._done()
        waiting = [file for file in self.plan.files if not self._is_done(file, done)]
        start = sum(file.size or 0 for file in self.plan.files if file not in waiting)
        left = sum(file.size or 0 for file in waiting)
        check_room(self.target.parent, left - self._kept(parts_alone=True))
        meter = Meter(self.plan.size, start)
        for file in waiting:
            path = self.staging / file.name
            descriptor = lock(part_of(path))
            if descriptor is None:  # whoever holds it has the folder's lock as well
                raise PlaceTaken(f"{file.name} is being fetched.", "Wait until it is there.")
            with Part(part_of(path), descriptor) as part, part.unless_empty():
                yield from reread(self.cancel, file, part)
                for size in fill(self.transfer, file, part, self.cached(file)):
                    event = meter.at(file.name, start + size)
                    if event is not None:
                        yield event
                part.path.replace(path)
                part.forget()
                hashes[file.name] = part.hash.hexdigest()
            start += path.stat().st_size
            done[file.name] = identity(file)
            self._note(done)

    def _is_done(self, file: RemoteFile, done: dict[str, str]) -> bool:
        path = self.staging / file.name
        return (
            done.get(file.name) == identity(file)
            and path.is_file()
            and file.size in (None, path.stat().st_size)
        )

    def _done(self) -> dict[str, str]:
        try:
            said = json.loads((self.staging / DONE).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _note(self, done: dict[str, str]) -> None:
        temporary = self.staging / f"{DONE}.new"
        temporary.write_text(json.dumps(done), "utf-8")
        temporary.replace(self.staging / DONE)

    def _kept(self, parts_alone: bool = False) -> int:
        pattern = f"**/.*{PART}" if parts_alone else "**/*"
        return sum(path.stat().st_size for path in self.staging.glob(pattern) if path.is_file())

    def _adopt(self) -> str | None:
        """Give the folder its name; everything in it was synced before."""
        wanted = {file.name for file in self.plan.files}
        for path in sorted(self.staging.rglob("*"), reverse=True):
            if path.is_dir():
                sync_folder(path)
            elif path.relative_to(self.staging).as_posix() not in wanted:
                path.unlink()  # what another revision left
        sync_folder(self.staging)
        self.staging.rename(self.target)
        sync_folder(self.target.parent)
        return write_beside(self.target, self.plan.published)
