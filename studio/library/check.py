"""The files that lie under MODEL_BASE_PATH, against the presets that name them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError
from studio.library.downloads import Downloads
from studio.library.downloads.leftovers import Leftover, leftovers, remove
from studio.library.downloads.sidecar import write_beside
from studio.library.scan import Held
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.presets.model_card import Published
from studio.resolve.context import base_hash
from studio.settings import Settings

Preset = ModelPreset | LoraPreset


@dataclass(frozen=True, slots=True)
class Holding:
    """A file and the presets it belongs to, by its place or by its SHA-256."""

    held: Held
    presets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One preset's weights, read again.

    Attributes:
        expected: SHA-256 that it should have, and who says so; None where nobody does.
        found: what it has; None where the weights cannot be used.
        problem: one sentence, where something is wrong.
    """

    slug: str
    expected: tuple[str, str] | None
    found: str | None
    problem: str | None


class Holdings:
    """Scans, checks and clears what is there."""

    def __init__(self, settings: Settings, store: WeightStore, downloads: Downloads) -> None:
        self._settings = settings
        self._store = store
        self._downloads = downloads

    def scan(
        self, catalog: Catalog, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Holding, ...]:
        """Every file with its presets; hashes nothing that was not hashed before.

        Raises:
            WeightsError: the studio's own state cannot be used.
        """
        by_place: Mapping[Path, list[str]] = defaultdict(list)
        by_sha256: Mapping[str, list[str]] = defaultdict(list)
        presets: Sequence[Preset] = [*catalog.loras.values(), *catalog.models.values()]
        pins = self._store.pins_of(presets)
        for preset in presets:
            by_place[self._store.locate(preset)].append(preset.slug)
            sha256 = preset.sha256 or pins.get(preset.slug)
            if sha256 is not None:
                by_sha256[sha256].append(preset.slug)
        root = self._settings.model_base_path
        found = []
        for held in self._store.scan(progress):
            slugs = by_place.get(root / held.path, []) + by_sha256.get(held.sha256 or "", [])
            found.append(Holding(held, tuple(dict.fromkeys(slugs))))
        return tuple(found)

    def hash(self, holding: Holding) -> str:
        """SHA-256 of a file, remembered.

        Raises:
            WeightsError: it cannot be read.
        """
        return self._store.sha256(self._settings.model_base_path / holding.held.path)

    def look_up(self, holding: Holding) -> Published | None:
        """What CivitAI knows of the file by its hash; kept beside it.

        Raises:
            StudioError: by its kind.
        """
        path = self._settings.model_base_path / holding.held.path
        sha256 = self._store.sha256(path)
        known = self._store.published(path, sha256)
        if known is not None:
            return known
        published = self._downloads.by_hash(sha256)
        if published is not None:
            write_beside(path, published)
        return published

    def verify(self, preset: Preset) -> Checked:
        """Read a preset's weights again, whatever is remembered of them."""
        self._store.rehash(preset)
        slug = preset.slug
        if isinstance(preset, LoraPreset):
            inventory = self._store.inventory([], [preset])
            lora = inventory.loras.get(slug)
            found = lora.file.sha256 if lora else None
            published = self._store.published(self._store.locate(preset))
            said: str | None = published.sha256 if published else None
        else:
            inventory = self._store.inventory([preset], [])
            base = inventory.bases.get(slug)
            found = base_hash(base) if base else None
            said = None
        unusable = inventory.unusable.get(slug)
        if found is None:
            absent = unusable.reason if unusable else "Its weights are not there."
            return Checked(slug, None, None, absent)
        expected = _expected(preset, inventory.pins.get(slug), said)
        wrong = expected is not None and expected[0] != found
        problem = f"Its SHA-256 is not the one that {expected[1]}." if wrong and expected else None
        return Checked(slug, expected, found, problem)

    def leftovers(self) -> tuple[Leftover, ...]:
        """What may go: unfinished downloads, and facts whose weights are gone."""
        return tuple(leftovers(self._settings.model_base_path))

    def prune(self, found: Sequence[Leftover]) -> tuple[Leftover, ...]:
        """Delete these and forget files that are gone; what was really deleted.

        Raises:
            StudioError: something cannot be deleted.
        """
        try:
            gone = tuple(each for each in found if remove(each))
        except OSError as error:
            raise StudioError(
                f"{error.filename} cannot be deleted: {error.strerror}.", "Delete it by hand."
            ) from error
        self._store.forget_absent(self._store.scan())
        return gone


def _expected(preset: Preset, pinned: str | None, published: str | None) -> tuple[str, str] | None:
    if preset.sha256 is not None:
        return preset.sha256, "the preset says"
    if pinned is not None:
        return pinned, "it had when it was first used"
    if published is not None:
        return published, "its publisher says"
    return None
