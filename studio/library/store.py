"""The local store of weights: where they belong, whether they are there, what they are."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from studio.contract.base import FileIdentity
from studio.errors import HeaderError, WeightsError
from studio.inspection import LoraInspection
from studio.library.base_headers import component_tensors
from studio.library.checkpoint import (
    checkpoint_tensors,
    layout_components,
    layout_files,
    refuse_single_file,
)
from studio.library.files import (
    adopt,
    contain,
    describe_file,
    read_inspection,
    unreadable,
)
from studio.library.folder import components_of, ignores_guidance, loaded_files
from studio.library.hashing import HashedWeights, stamp_at
from studio.library.scan import Held, forget_absent, scan
from studio.library.sidecars import unread_beside
from studio.library.spelling import near
from studio.library.state import pinned, slug_of
from studio.presets import LoraPreset, ModelPreset, Preset
from studio.presets.catalog import memory_key, origin_of
from studio.presets.model_card import Published, beside, read_published
from studio.resolve.inventory import BaseWeights, Inventory, LoraWeights, Unusable
from studio.settings import Settings
from studio.storage.atomic import Stamp, stamp_of

__all__ = ["WeightStore", "adopt", "describe_file"]

T = TypeVar("T")
P = TypeVar("P", ModelPreset, LoraPreset)

MAX_FACTS = 2**20
"""Bytes of the largest file of a publisher's facts that is read."""
REMEMBERED = 256
"""Inspections kept in memory; one of a large LoRA takes about a megabyte."""


class WeightStore(HashedWeights):
    """The weights under MODEL_BASE_PATH and the embedded ones; safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._remembered: dict[Path, tuple[tuple[Stamp, ...], object]] = {}

    def inventory(self, bases: Sequence[ModelPreset], loras: Sequence[LoraPreset]) -> Inventory:
        """What is there of these presets, inspected and hashed; bad files are entries in it.

        Raises:
            WeightsError: the studio's own state (hash cache, pins) cannot be used.
        """
        presets: list[Preset] = [*bases, *loras]
        expected = {preset.slug: self.locate(preset) for preset in presets}
        unusable: dict[str, Unusable] = {}
        found_bases = self._collect(bases, expected, unusable, self._base)
        found_loras = self._collect(loras, expected, unusable, self._lora)
        pins = self.pins_of(presets)
        return Inventory(found_bases, found_loras, unusable, expected, pins)

    def _collect(
        self,
        presets: Sequence[P],
        expected: Mapping[str, Path],
        unusable: dict[str, Unusable],
        read: Callable[[P, Path], T],
    ) -> dict[str, T]:
        found = {}
        for preset in presets:
            path = expected[preset.slug]
            try:
                if _is_there(path):
                    found[preset.slug] = read(preset, path)
                elif not origin_of(preset) and (alike := near(path)) is not None:
                    way_out = "Correct the preset's path, or rename the file."
                    reason = f"{path.name} is not there, but {alike} is."
                    unusable[preset.slug] = Unusable(path, reason, way_out)
            except HeaderError as error:
                reason = f"{error.reason}."
                unusable[preset.slug] = Unusable(path, reason, error.way_out)
            except OSError as error:
                # A folder that may not be entered fails at any look into it.
                why = unreadable(Path(error.filename or path), error)
                unusable[preset.slug] = Unusable(path, why.message, why.way_out)
            except WeightsError as error:
                if error.path is not None and error.path.is_relative_to(self._settings.state):
                    raise
                unusable[preset.slug] = Unusable(path, error.message, error.way_out)
        return found

    def _base(self, preset: ModelPreset, path: Path) -> BaseWeights:
        layout = self.layout(preset)
        if layout is not None:
            return self._checkpoint(preset, path, layout)
        if not path.is_dir():
            raise WeightsError(
                f"{path.name} is not a folder.",
                "Put the model there as a folder in diffusers layout.",
                path,
            )
        roots = self.roots_of(preset)
        contain(path, roots)
        loaded = loaded_files(path, preset.variant)
        names = loaded.names
        for name in names:
            contain(path / name, roots)
        stamps = tuple(stamp_at(path / name) for name in names)
        tensors = self._recall(path, stamps, lambda: component_tensors(path, names))
        files = tuple(self._identity(path / name, name) for name in names)
        return BaseWeights(
            path=path,
            files=files,
            shapes=tensors.shapes,
            classes=components_of(path),
            stored=tensors.stored,
            unused=loaded.unused,
            ignores_guidance=ignores_guidance(path),
            published=self.published(path),
        )

    def _checkpoint(self, preset: ModelPreset, path: Path, layout: Path) -> BaseWeights:
        contain(path, self.roots_of(preset))
        architecture = preset.base_architecture
        refuse_single_file(path, architecture)
        places = {path.name: path} | {name: layout / name for name in layout_files(layout)}
        if preset.config is not None:
            for place in places.values():
                contain(place, self.roots_of(preset))
        stamps = tuple(stamp_at(place) for place in places.values())
        tensors = self._recall(
            path, stamps, lambda: checkpoint_tensors(path, layout, architecture)
        )
        files = tuple(self._identity(place, name) for name, place in places.items())
        return BaseWeights(
            path=path,
            files=files,
            shapes=tensors.shapes,
            classes=layout_components(layout),
            stored=tensors.stored,
            layout=layout,
            ignores_guidance=ignores_guidance(layout),
            published=self.published(path),
        )

    def _lora(self, preset: LoraPreset, path: Path) -> LoraWeights:
        contain(path, self.roots_of(preset))
        stamps = (stamp_at(path),)
        inspection = self._recall(path, stamps, lambda: read_inspection(path))
        identity = self._identity(path, path.name)
        self._refuse_reuse(preset, path, identity.sha256)
        published = self.published(path, identity.sha256)
        return LoraWeights(path, identity, inspection, published, unread_beside(path))

    def _refuse_reuse(self, preset: LoraPreset, path: Path, sha256: str) -> None:
        """The file of the preset's former origin is no file of its new one."""
        pins, key = self.state.pins(), memory_key(preset)
        if sha256 in (preset.sha256, pinned(pins, key)):
            return
        for other, pin in pins.items():
            if pin == sha256 and slug_of(other) == preset.slug and origin_of(preset):
                before = other.split(" ", 1)[1]
                raise WeightsError(
                    f"{path.name} was first used as {before}; the preset now names "
                    f"{origin_of(preset)}.",
                    "Delete the file and fetch the new one, restore the preset's source, or "
                    f"accept the file with `studio presets repin {preset.slug}`.",
                    path,
                )

    def published(self, path: Path, sha256: str | None = None) -> Published | None:
        """The publisher's facts beside a weight file, else those that were asked for by its hash;
        None where there are none of this file.

        Args:
            sha256: of the file; facts about other bytes are not its own.
        """
        facts = self._beside(path, sha256)
        if facts is None and sha256 is None and path.is_file():
            sha256 = self.state.sha256(path, stamp_at(path))
        answer = self.state.answer(sha256) if facts is None and sha256 is not None else None
        return facts or (read_published(answer.published) if answer is not None else None)

    def _beside(self, path: Path, sha256: str | None) -> Published | None:
        place = beside(path)
        try:
            stamp = stamp_of(place.stat())
        except OSError:
            return None
        if stamp[0] > MAX_FACTS:
            return None
        facts = self._recall(place, (stamp,), lambda: read_published(place.read_bytes()))
        if facts is not None and None not in (sha256, facts.sha256) and facts.sha256 != sha256:
            return None
        return facts

    def scan(self, progress: Callable[[int, int], None] | None = None) -> tuple[Held, ...]:
        """Every file of the library; see ``scan.scan``."""
        return scan(self._settings, self.state, progress, self.more)

    def forget_absent(self, present: Sequence[Held]) -> int:
        """Drop what is remembered of files that are gone; how many."""
        return forget_absent(self.state, present)

    def adopt(self, temporary: Path, target: Path) -> None:
        """See ``files.adopt``."""
        adopt(temporary, target)

    def inspect(self, path: Path) -> LoraInspection:
        """See ``files.read_inspection``."""
        return read_inspection(path)

    def _identity(self, path: Path, name: str) -> FileIdentity:
        return FileIdentity(name=name, sha256=self.sha256(path), size=stamp_at(path)[0])

    def _recall(self, path: Path, stamps: tuple[Stamp, ...], make: Callable[[], T]) -> T:
        """``make()``, or its value of last time while the files are the same."""
        with self._lock:
            known = self._remembered.get(path)
        if known is not None and known[0] == stamps:
            return known[1]  # type: ignore[return-value]
        value = make()
        with self._lock:
            self._remembered.pop(path, None)
            if len(self._remembered) >= REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[path] = (stamps, value)
        return value


def _is_there(path: Path) -> bool:
    """Whether anything has this name, a link to nothing included.

    Raises:
        OSError: nobody can tell: a folder above may not be entered, or is a file or a loop.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
