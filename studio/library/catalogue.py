"""What a request can name: every preset, and every file of the library that no preset names."""

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import PresetsError, StudioError
from studio.library.entries import Entry, derive, given, name_files
from studio.library.preset_files import SUFFIXES, load
from studio.library.scan import FileProgress, Held
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, Preset
from studio.presets.parse import PresetProblem
from studio.settings import BUILT_IN_PRESETS, Settings

LOOK_AGAIN = 20.0
"""Seconds between two looks at the folders, and no less than ten times what a look takes."""
logger = logging.getLogger("studio.library.catalogue")


@dataclass(frozen=True, slots=True)
class Holding:
    """A file of the library.

    Attributes:
        presets: those that name it, by its place or by its SHA-256.
        entry: what is derived from it, where none names its place. A preset that only has the
            same SHA-256 hides nothing: else a slug would go with the first look at the hash.
    """

    held: Held
    presets: tuple[str, ...]
    entry: Entry | None


class Catalogue:
    """Presets and files, looked at when asked and, once started, again and again.

    Safe for several threads. Nothing is scanned before ``refresh`` or ``start``.

    Attributes:
        catalog: replaced as a whole when presets or files change.
        problems: what is wrong in the preset files.
        holdings: every file of the library as it was last seen.
        trouble: why the last look failed; None where it did not.
        looking: (files read, files to read) while a look goes on; None between two.
        looked_at: when the last whole look ended, in seconds since 1970.
        changes: counted up whenever ``catalog`` is replaced.
    """

    def __init__(
        self,
        settings: Settings,
        store: WeightStore,
        catalog: Catalog,
        problems: tuple[PresetProblem, ...],
    ) -> None:
        self.catalog = catalog
        self.problems = problems
        self.holdings: tuple[Holding, ...] = ()
        self.trouble: StudioError | None = None
        self.looking: tuple[int, int] | None = None
        self.looked_at: float | None = None
        self.changes = 0
        self._settings = settings
        self._store = store
        self._presets = catalog
        self._stamps = self._look_at_presets()
        self._held: tuple[Held, ...] | None = None
        self._entries: dict[str, Entry] = {}
        self._turn = threading.RLock()
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def reload(self) -> None:
        """Read the preset files again."""
        with self._turn:
            self._stamps = self._look_at_presets()
            dirs = (BUILT_IN_PRESETS, *self._settings.preset_dirs)
            self._presets, self.problems = load(dirs, self._settings.local_presets)
            self._join(self._held)

    def refresh(self, progress: FileProgress | None = None) -> tuple[Holding, ...]:
        """Look at the files again, and at preset files that somebody else changed.

        Raises:
            WeightsError: the studio's own state cannot be used.
        """

        def tell(done: int, count: int) -> None:
            self.looking = (done, count)
            if progress is not None:
                progress(done, count)

        with self._turn:
            self.looking = (0, 0)
            try:
                held = self._store.scan(tell)
                if self._look_at_presets() != self._stamps:
                    self._held = held
                    self.reload()
                elif held != self._held:
                    self._join(held)
            finally:
                self.looking = None
            self.looked_at = time.time()
            return self.holdings

    def holding_of(self, path: Path) -> Holding | None:
        """The file of the library at ``path``, as it was last seen."""
        names = {os.path.abspath(path), str(path.resolve())}  # noqa: PTH100  # links, too
        return next((each for each in self.holdings if each.held.name in names), None)

    def others_of(self, slug: str) -> tuple[tuple[str, str, str], ...]:
        """(field, value, who) of what was said of a file and does not count; see ``Entry``."""
        entries = (each.entry for each in self.holdings)
        return next(
            (each.others for each in entries if each is not None and each.slug == slug), ()
        )

    def unread_of(self, slug: str) -> tuple[str, ...]:
        """A sentence for each sidecar of a preset's file that cannot be read."""
        named = (
            each
            for each in self.holdings
            if slug in each.presets or (each.entry is not None and each.entry.slug == slug)
        )
        return tuple(sentence for each in named for sentence in each.held.unread)

    def slug_of_file(self, path: Path) -> str:
        """What names the file at ``path``: its preset, or the entry derived from it. A file that
        lies outside the library is in it from now on, for this process.

        Raises:
            PresetsError: it is not there, or cannot be used.
        """
        if self._held is None:
            self.refresh()
        if self.holding_of(path) is None and path.exists():
            whole = path.absolute()
            root = Path(*whole.parts[:-1])
            self._store.more = (*self._store.more, (str(root), whole.name))
            self.refresh()
        holding = self.holding_of(path)
        if holding is None:
            raise PresetsError(
                f"{path} is not a file that the studio knows to use.",
                "Name a .safetensors file, or a folder in diffusers layout.",
            )
        entry = holding.entry
        if entry is None:
            return holding.presets[0]
        if entry.preset is None:
            raise PresetsError(
                f"{path.name}: {entry.reason}",
                "Choose another file, or make a preset of this one.",
            )
        return entry.slug

    def start(self, every: float = LOOK_AGAIN) -> None:
        """Look in the background, at once and again and again, until ``close``."""
        with self._turn:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, args=(every,), name="studio-library", daemon=True
                )
                self._thread.start()

    def look_soon(self) -> None:
        """Have the background look again now."""
        if self.looking is None and self._thread is not None:
            self.looking = (0, 0)  # whoever waits for the look sees that it is to come
        self._wake.set()

    def close(self, patience: float | None = None) -> bool:
        """End the looking; whether it has ended within ``patience`` seconds."""
        self._end.set()
        self._wake.set()
        thread = self._thread
        if thread is None:
            return True
        thread.join(patience)
        return not thread.is_alive()

    def _watch(self, every: float) -> None:
        while not self._end.is_set():
            self._wake.clear()
            began = time.monotonic()
            try:
                self.refresh(self._until_closed)
                self.trouble = None
            except _Closed:
                return
            except StudioError as error:
                if str(error) != str(self.trouble):
                    logger.warning("the library cannot be looked at: %s", error)
                self.trouble = error
            except Exception:  # the thread's boundary: said, and tried again
                logger.exception("looking at the library met an unexpected error")
            self._wake.wait(max(every, 10 * (time.monotonic() - began)))

    def _until_closed(self, _done: int, _count: int) -> None:
        if self._end.is_set():
            raise _Closed

    def _look_at_presets(self) -> dict[str, tuple[int, int]]:
        """Preset file → when it was changed, and its size."""
        found = {}
        files = [self._settings.local_presets]
        for folder in (BUILT_IN_PRESETS, *self._settings.preset_dirs):
            if folder.is_dir():
                files += [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
        for path in files:
            try:
                status = path.stat()
            except OSError:
                continue
            found[str(path)] = (status.st_mtime_ns, status.st_size)
        return found

    def _join(self, held: tuple[Held, ...] | None) -> None:
        """The catalogue anew: the presets, and entries for the files that none of them names."""
        self._held = held
        self.changes += 1
        if held is None:
            self.catalog = self._presets
            return
        by_place, named = self._named(held)
        free = [each for each in held if each.name not in by_place]
        taken = self._presets.models.keys() | self._presets.loras.keys()
        known = self._store.state.slugs()
        slugs = name_files(free, known, taken)
        now = given(slugs, free)
        changed = {slug: file for slug, file in now.items() if known.get(slug) != file}
        if changed:
            self._store.state.put_slugs(changed)
        entries = {}
        for each in free:
            key = each.key
            entry = self._entries.get(key)
            if entry is None or entry.held != each or entry.slug != slugs[key]:
                entry = derive(each, slugs[key])
            entries[key] = entry
        self._entries = entries
        self.holdings = tuple(
            Holding(each, named[each.name], entries.get(each.key)) for each in held
        )
        usable = {entry.slug: entry for entry in entries.values() if entry.preset is not None}
        self._store.library = {slug: entry.held for slug, entry in usable.items()}
        self.catalog = _with(self._presets, usable)

    def _named(self, held: Sequence[Held]) -> tuple[Collection[str], dict[str, tuple[str, ...]]]:
        """The places that presets name, and of each file the presets that name it, by its place
        or by its SHA-256."""
        by_place: Mapping[str, list[str]] = defaultdict(list)
        by_sha256: Mapping[str, list[str]] = defaultdict(list)
        presets: list[Preset] = [*self._presets.loras.values(), *self._presets.models.values()]
        pins = self._store.pins_of(presets)
        for preset, place in self._store.places_of(presets):
            by_place[place].append(preset.slug)
            sha256 = preset.sha256 or pins.get(preset.slug)
            if sha256 is not None:
                by_sha256[sha256].append(preset.slug)
        return by_place.keys(), {
            each.name: tuple(
                dict.fromkeys(
                    (*by_place.get(each.name, ()), *by_sha256.get(each.sha256 or "", ()))
                )
            )
            for each in held
        }


class _Closed(Exception):
    """The studio closes while the library is looked at."""


def _with(presets: Catalog, entries: Mapping[str, Entry]) -> Catalog:
    derived = [entry.preset for entry in entries.values() if entry.preset is not None]
    return Catalog(
        (
            *presets.models.values(),
            *(each for each in derived if not isinstance(each, LoraPreset)),
        ),
        (*presets.loras.values(), *(each for each in derived if isinstance(each, LoraPreset))),
        presets.local,
        presets.overrides,
        {slug: entry.said_by for slug, entry in entries.items()},
    )
