"""LoRAs that visitors of a public page bring: each is seen by its visitor alone, and goes then.

outputs/.visitors/guests/<folder>/.loras/<token>/<name>.safetensors

They pass the gate that every file passes, and are pinned by the hash that they came with. What the
studio remembers of one (hashes, header, preset) goes with its file.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio.errors import GalleryError, LoraNotTaken, StudioError
from studio.library.downloads import DownloadEvent
from studio.library.downloads.addresses import safe_name
from studio.library.downloads.fetching import check_room
from studio.library.entries import derive
from studio.library.scan import Held, look
from studio.library.state import key_of
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset
from studio.presets.parse import slug_of
from studio.settings import Settings
from studio.storage import atomic
from studio.workspace.own_arrivals import Arrival, Arrivals
from studio.workspace.own_fetch import demand_size, fetch_for_visitor, hub_source
from studio.workspace.visitors import Visitor, VisitorKind, Visitors

PLACE = ".loras"


@dataclass(frozen=True, slots=True)
class _OwnLora:
    """One that is here; ``client`` is who is counted, ``came`` seconds since 1970."""

    preset: LoraPreset
    held: Held
    said_by: Mapping[str, str]
    client: str
    came: float


class OwnLoras:
    """What each visitor has brought; safe for several threads.

    A visitor is named by the folder of their gallery.
    """

    def __init__(self, settings: Settings, store: WeightStore, visitors: Visitors) -> None:
        self._settings = settings
        self._limits = settings.visitors
        self._store = store
        self._visitors = visitors
        self._of: dict[Path, tuple[_OwnLora, ...]] = {}
        self._seen: dict[Path, tuple[Catalog, tuple[_OwnLora, ...], Catalog]] = {}
        self._arrivals = Arrivals(self._limits.loras)
        self._here: dict[Path, float] = {}
        self._lock = threading.Lock()

    # Who sees what

    def seen(self, everybody: Catalog) -> Catalog:
        """The catalog as whoever asks sees it."""
        if not self._of:
            return everybody
        owner = self._visitors.whose()
        if owner is None or not (mine := self._of.get(owner)):
            return everybody
        self._here[owner] = time.monotonic()  # a program has no page that is open
        known = self._seen.get(owner)
        if known is None or known[0] is not everybody or known[1] is not mine:
            known = self._seen[owner] = (everybody, mine, _joined(everybody, mine))
        return known[2]

    def mine(self) -> tuple[LoraPreset, ...]:
        """Those of whoever asks, in the order in which they came."""
        owner = self._visitors.whose()
        return () if owner is None else tuple(each.preset for each in self._of.get(owner, ()))

    # Taking in

    @contextmanager
    def arriving(self, owner: Path, client: str) -> Iterator[Arrival]:
        """A place for one more; what lies there at the end goes unless it was ``accept``ed.

        Raises:
            LoraNotTaken: no more may come; GalleryError: the disk does not take it.
        """
        coming = Arrival(owner, client, owner / PLACE / secrets.token_hex(8))
        with self._lock:
            here = [each.client for held in self._of.values() for each in held]
            self._arrivals.begin(coming, here)
        try:
            coming.folder.mkdir(parents=True)
            yield coming
        except OSError as error:
            told = atomic.storage_error(error, coming.folder)
            raise _without_place(told, coming.folder) from error
        except StudioError as error:
            raise _without_place(error, coming.folder) from error
        finally:
            came = coming.folder.is_dir() and any(coming.folder.iterdir())
            with self._lock:
                self._arrivals.end(coming, came)
            if not coming.kept:
                self._forget(coming.folder)

    def place_of(self, coming: Arrival, name: str, size: int) -> Path:
        """Where the bytes of an upload are to be written.

        Args:
            name: as the visitor calls the file.

        Raises:
            LoraNotTaken: it is no safetensors file by its name, or too large.
            DiskFull
        """
        if not name.lower().endswith(".safetensors"):
            raise LoraNotTaken(
                f"{name[:80]!r} is no .safetensors file.", "Choose one; nothing else is read."
            )
        demand_size(self._limits, size, name[:80])
        check_room(coming.folder, size)
        return coming.folder / safe_name(name, "lora")

    def fetch(
        self, text: str, token: str | None, client: str, cancel: threading.Event
    ) -> Generator[DownloadEvent, None, LoraPreset | None]:
        """Fetch one from the Hub for whoever asks; returns it, or None where it was cancelled.

        Args:
            token: of their Hub account. It is shown to the Hub alone, where that gives the file
                to nobody without one, and nobody keeps it.

        Raises:
            LoraNotTaken, DownloadError, WeightsError: by their kinds.
        """
        visitor = self._visitors.current()
        if visitor is None:
            raise GalleryError("Nobody is a visitor here.", "Use `studio download`.")
        source = hub_source(self._settings, self._store, text)
        with self.arriving(self._visitors.folder(visitor), client) as coming:
            found = yield from fetch_for_visitor(
                self._settings, self._store, coming.folder, source, token, cancel
            )
            return None if found is None else self.accept(coming, found.path, found.origin)

    def accept(
        self, coming: Arrival, path: Path, origin: Mapping[str, Any] | None = None
    ) -> LoraPreset:
        """Make the file of an arrival its visitor's; it is pinned by its hash.

        Args:
            origin: fields of its preset that say where it is from.

        Raises:
            LoraNotTaken: it is no LoRA that the studio can use; WeightsError.
        """
        sha256 = self._store.sha256(path)
        held = replace(look(self._settings, self._store.state, path), sha256=sha256)
        slug = f"own-{slug_of(path.stem)[:48].strip('-') or 'lora'}-{secrets.token_hex(4)}"
        entry = derive(held, slug)
        if not isinstance(entry.preset, LoraPreset):
            reason = entry.reason or "It is a base, and no LoRA."
            raise LoraNotTaken(f"{path.name} was not taken. {reason}", "Choose another file.")
        said = entry.preset.model_dump(mode="json", exclude_none=True) | {"sha256": sha256}
        preset = LoraPreset.model_validate(said | dict(origin or {}))
        own = _OwnLora(preset, held, entry.said_by, coming.client, time.time())
        with self._lock:
            coming.kept = True
            self._of[coming.owner] = (*self._of.get(coming.owner, ()), own)
            self._here[coming.owner] = time.monotonic()
            self._publish()
        return preset

    # How they go

    def drop(self, owner: Path) -> None:
        """Remove all that a visitor brought.

        Raises:
            GalleryError: the disk does not allow it.
        """
        with self._lock:
            self._of.pop(owner, None)
            self._seen.pop(owner, None)
            self._here.pop(owner, None)
            self._publish()
        self._forget(owner / PLACE)

    def drop_leftovers(self) -> None:
        """Remove what an earlier process was left with when it ended.

        Raises:
            GalleryError: the disk does not allow it.
        """
        for kind in VisitorKind:
            for folder in self._visitors.folders(kind):
                self.drop(folder)

    def let_go(self, here: Collection[Visitor], alone: float | None) -> None:
        """Remove what belongs to visitors who have left, or brought it too long ago.

        Args:
            here: who has the page open.
            alone: seconds after which one who has not is gone; None for never.

        Raises:
            GalleryError: the disk does not allow it.
        """
        if not self._of:
            return
        now, present = time.monotonic(), {self._visitors.folder(each) for each in here}
        oldest = time.time() - self._limits.guest_hours * 3600
        for owner, held in tuple(self._of.items()):
            if owner in present:
                self._here[owner] = now
            gone = alone is not None and now - self._here.get(owner, now) > alone
            if gone or max(each.came for each in held) < oldest:
                self.drop(owner)

    def _publish(self) -> None:
        held = [each for mine in self._of.values() for each in mine]
        self._store.brought = {each.preset.slug: each.held for each in held}

    def _forget(self, folder: Path) -> None:
        """Remove a folder, and what is remembered of the files in it."""
        if not folder.is_dir():
            return
        files = [path for path in folder.rglob("*") if path.is_file()]
        with atomic.storing(folder):
            shutil.rmtree(folder)
        self._store.state.forget_hashes(files)
        self._store.state.forget_headers([key_of(path) for path in files])


def _joined(everybody: Catalog, mine: tuple[_OwnLora, ...]) -> Catalog:
    taken = everybody.models.keys() | everybody.loras.keys()
    own = [each for each in mine if each.preset.slug not in taken]
    return Catalog(
        tuple(everybody.models.values()),
        (*everybody.loras.values(), *(each.preset for each in own)),
        everybody.local,
        everybody.overrides,
        {**everybody.derived, **{each.preset.slug: each.said_by for each in own}},
    )


def _without_place(error: StudioError, folder: Path) -> StudioError:
    """The same without a place on this machine."""
    message, way_out = (
        text.replace(str(folder), "the page's disk").replace(str(folder.parent), "the page's disk")
        for text in (error.message, error.way_out)
    )
    if (message, way_out) == (error.message, error.way_out):
        return error
    return LoraNotTaken(message, way_out, error.code)
