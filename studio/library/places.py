"""Where weights belong and whether they are there; nothing is opened."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from studio.architecture.diffusers_folder import INDEX
from studio.errors import PresetsError
from studio.library.checkpoint import built_in_layout
from studio.library.files import contain
from studio.library.scan import Held
from studio.library.spelling import spellings
from studio.library.state import State
from studio.presets import LoraPreset, ModelPreset, Preset
from studio.presets.catalog import memory_key
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.storage.atomic import stamp_of


class WeightPlaces:
    """The places under MODEL_BASE_PATH and the embedded ones.

    Attributes:
        state: what is remembered of them.
        library: slug → the file of the library that no preset names; replaced as a whole.
        brought: the same of files that visitors brought, which no library has.
        more: (folder, name) of files outside the library that somebody named.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.state = State(settings.state)
        self.library: Mapping[str, Held] = {}
        self.brought: Mapping[str, Held] = {}
        self.more: tuple[tuple[str, str], ...] = ()

    def locate(self, preset: Preset) -> Path:
        """Where a preset's weights belong, there or not."""
        return Path(self._place(preset, self.state.places))

    def _place(self, preset: Preset, places: Callable[[], Mapping[str, str]]) -> str:
        """The same as text: pathlib would take most of the time for 10,000 presets."""
        if preset.source is not None and preset.source.embedded is not None:
            return os.path.join(BUILT_IN_PRESETS, preset.source.embedded)  # noqa: PTH118
        held = self._held(preset)
        if held is not None:
            return held.name
        if preset.path is not None:
            relative = preset.path
        elif place := places().get(memory_key(preset)):
            relative = place
        elif isinstance(preset, LoraPreset):
            relative = f"loras/{preset.base_architecture.value}/{preset.slug}.safetensors"
        else:
            relative = f"models/{preset.slug}"
        first, *others = (
            os.path.join(root, spelled)  # noqa: PTH118
            for root in self._settings.library_folders
            for spelled in spellings(relative)
        )
        if not others or (preset.sha256 is None and os.path.lexists(first)):
            return first
        there = [each for each in (first, *others) if os.path.lexists(each)] or [first]
        if len(there) == 1:
            return there[0]
        # Two folders of the library may have files of one name: the hash tells which is meant.
        meant = (each for each in there if self._hash_of(each) == preset.sha256)
        return there[0] if preset.sha256 is None else next(meant, there[0])

    def _hash_of(self, place: str) -> str | None:
        """The SHA-256 of a file that was hashed before; None of another."""
        try:
            stamp = stamp_of(os.stat(place))  # noqa: PTH116
        except OSError:  # a link to nothing, said where it is used
            return None
        return self.state.sha256(Path(place), stamp)

    def places_of(self, presets: Iterable[Preset]) -> Iterator[tuple[Preset, str]]:
        """Each with where its weights belong: one question for thousands."""
        places = self.state.places()
        for preset in presets:
            yield preset, self._place(preset, lambda: places)

    def layout(self, preset: ModelPreset) -> Path | None:
        """Where the configurations of a single-file base lie, there or not; None for a folder."""
        if not preset.single_file:
            return None
        if preset.config is not None:
            return self._settings.model_base_path / preset.config
        return built_in_layout(preset.base_architecture)

    def present(self, presets: Iterable[Preset]) -> dict[str, bool]:
        """Slug → whether the file, or the folder with its index, is there; no hashing.

        Each folder is listed once, so that thousands of presets cost no look each.
        """
        listings: dict[str, dict[str, bool]] = {}
        found = {}
        places = self.state.places()
        for preset in presets:
            folder, name = os.path.split(self._place(preset, lambda: places))
            names = listings.get(folder)
            if names is None:
                names = listings[folder] = _listing(folder)
            if isinstance(preset, ModelPreset) and not preset.single_file:
                there = name in names and _is_file(os.path.join(folder, name, INDEX))  # noqa: PTH118
            else:
                there = names.get(name, False)
            found[preset.slug] = there
        return found

    def roots_of(self, preset: Preset) -> tuple[Path, ...]:
        """Where a preset's weights may lie once links are followed; its own folder comes first."""
        if preset.source is not None and preset.source.embedded is not None:
            return (BUILT_IN_PRESETS,)
        place, folders = self.locate(preset), self._settings.library_folders
        held = self._held(preset)
        if held is not None:
            own = Path(held.root)
        else:
            own = next((root for root in folders if place.is_relative_to(root)), folders[0])
        named = () if own in folders else (place.resolve(),)  # a link that somebody named
        return (own, *folders, *self._settings.linked_folders, *named)

    def own_place(self, path: Path) -> tuple[Path, Path]:
        """The folder of the library that ``path`` lies below, and where it lies there.

        Raises:
            PresetsError: it lies elsewhere.
            WeightsError: it is a link that leads elsewhere.
        """
        roots = [folder.resolve() for folder in self._settings.library_folders]
        for place in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100  # links, too
            for root in roots:
                if place.is_relative_to(root):
                    contain(place, (root, *roots, *self._settings.linked_folders))
                    return root, place
        raise PresetsError(
            f"{path.name} is not under MODEL_BASE_PATH ({roots[0]}).",
            "Move it there, for example into loras/, and name it there.",
        )

    def _held(self, preset: Preset) -> Held | None:
        """The file that a preset was derived from."""
        files = (self.library.get(preset.slug), self.brought.get(preset.slug))
        return next((each for each in files if each and each.path == preset.path), None)


def _is_file(path: str) -> bool:
    """False also where nobody can tell; ``inventory`` says why it is not usable."""
    return os.path.isfile(path)  # noqa: PTH113  # pathlib's raises where nobody can tell


def _listing(folder: str) -> dict[str, bool]:
    """Name → whether it is a file, of everything in a folder; empty when it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _is_file_entry(entry) for entry in entries}
    except OSError:
        return {}


def _is_file_entry(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a loop of links must not take the other entries with it
        return False
