"""Files of the library, checked against their presets, and cleared."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio.errors import StudioError
from studio.library.downloads.beside import Leftover, leftovers, remove
from studio.library.store import WeightStore
from studio.presets import LoraPreset, Preset
from studio.resolve.inventory import base_hash
from studio.settings import Settings


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
    """Checks and clears what is there."""

    def __init__(self, settings: Settings, store: WeightStore) -> None:
        self._settings = settings
        self._store = store

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
        return tuple(each for root in self._settings.library_folders for each in leftovers(root))

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
