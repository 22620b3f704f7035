"""The library as a backend sees it: where a plan's files lie, each proven by its SHA-256."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from studio.architecture.diffusers_folder import variant_of
from studio.backends.base import BasePlace
from studio.comparison.replay import Lost
from studio.contract.plan import BaseIdentity, LoraUse, RunPlan
from studio.contract.request import ReferenceImage
from studio.errors import UnusableReference, WeightsError
from studio.imaging.references import References
from studio.imaging.references import load as load_reference
from studio.library.checkpoint import layout_files
from studio.library.folder import loaded_files
from studio.library.hashing import settled_stamp
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.presets import LoraPreset, ModelPreset
from studio.presets.catalog import memory_key
from studio.resolve.inventory import base_place


class LibraryWeights:
    """What plans name, looked up by preset and hashed; a ``Weights``.

    A preset without a hash is held to the one that it was pinned to when it first made a picture.
    """

    def __init__(self, store: WeightStore, stock: Stock, references: References) -> None:
        self._store = store
        self._stock = stock
        self._references = references
        self._found_bases: dict[str, tuple[Path, Path | None]] = {}
        self._found_loras: dict[str, Path] = {}

    def seek(self, plan: RunPlan) -> tuple[Lost, ...]:
        """Find what a plan names by its SHA-256, wherever it lies now; from then on it is found
        there. Returns what is nowhere.

        Raises:
            WeightsError: the studio's own state cannot be used.
        """
        lost = [] if self._sought(plan.base) else [*self._lost_base(plan.base)]
        for use in plan.loras:
            if not self._sought_lora(use):
                called = self._called(self._stock.catalog.loras.get(use.slug), use.sha256)
                what = f"the LoRA {use.label}"
                lost.append(Lost(what, use.sha256, _whence(use.source), called))
        for each in plan.references:
            try:
                self.reference(each)
            except UnusableReference as error:
                lost.append(Lost(f"a reference image ({error.reason})", each.sha256, ""))
        return tuple(lost)

    def _sought(self, wanted: BaseIdentity) -> bool:
        """Whether a base lies at its preset's place or another's, file by file."""
        models = self._stock.catalog.models.values()
        places = [
            (self._store.locate(each), self._store.layout(each))
            for each in sorted(models, key=lambda each: each.slug != wanted.slug)
        ]
        places += [(each.held.place, None) for each in self._stock.catalogue.holdings]
        for place in places:
            if self._is_base(wanted, *place):
                self._found_bases[wanted.sha256] = place
                return True
        return False

    def _is_base(self, wanted: BaseIdentity, path: Path, layout: Path | None) -> bool:
        return all(
            self._is(base_place(path, layout, each.name), each.sha256, each.size)
            for each in wanted.files
        )

    def _lost_base(self, wanted: BaseIdentity) -> Iterator[Lost]:
        preset = self._stock.catalog.models.get(wanted.slug)
        path = self._store.locate(preset) if preset else None
        layout = self._store.layout(preset) if preset else None
        source = _whence(wanted.source)
        if source and wanted.revision:
            source = f"{source}@{wanted.revision}"
        called = self._called(preset, wanted.sha256)
        for each in wanted.files:
            if path is None or not self._is(
                base_place(path, layout, each.name), each.sha256, each.size
            ):
                what = f"{each.name} of the base {wanted.label}"
                yield Lost(what, each.sha256, source, called)

    def _sought_lora(self, wanted: LoraUse) -> bool:
        if self._brought(wanted) is not None:
            return True  # and remembered for nobody
        presets = self._stock.catalog.loras.values()
        places = [
            self._store.locate(each)
            for each in sorted(presets, key=lambda each: each.slug != wanted.slug)
            if each.slug not in self._store.brought
        ]
        places += [each.held.place for each in self._stock.catalogue.holdings]
        for place in places:
            if self._is(place, wanted.sha256, wanted.size):
                self._found_loras[wanted.sha256] = place
                return True
        return False

    def _brought(self, wanted: LoraUse) -> Path | None:
        """The file of this hash that whoever asks brought, and nobody else's."""
        known = self._stock.catalog.loras
        mine = (known[slug] for slug in self._store.brought if slug in known)
        found = (self._store.locate(each) for each in mine if each.sha256 == wanted.sha256)
        return next((each for each in found if self._is(each, wanted.sha256, wanted.size)), None)

    def _is(self, path: Path, sha256: str, size: int) -> bool:
        """Whether a file is the one of this hash; one of another size is not read."""
        try:
            self._store.verify(path, sha256, size)
        except WeightsError as error:
            if error.path is not None and error.path != path:
                raise  # the state, which is nothing about the file
            return False
        return True

    def _called(self, preset: ModelPreset | LoraPreset | None, sha256: str) -> str | None:
        names = {} if preset is None else {value: key for key, value in preset.earlier.items()}
        return names.get(sha256)

    def base(self, wanted: BaseIdentity) -> BasePlace:
        found = self._found_bases.get(wanted.sha256)
        if found is not None and self._is_base(wanted, *found):
            return self._base_at(wanted, *found)
        preset = self._stock.catalog.models.get(wanted.slug)
        if preset is None:
            raise _gone(wanted.slug)
        place = self._base_at(wanted, self._store.locate(preset), self._store.layout(preset))
        self._check_pin(preset, wanted.sha256)
        return place

    def _base_at(self, wanted: BaseIdentity, path: Path, layout: Path | None) -> BasePlace:
        folder = path if layout is None else layout
        folders = {"", *(file.name.rpartition("/")[0] for file in wanted.files)}
        # Before their files: what is added, or swapped and swapped back, changes them.
        stamps = {name: settled_stamp(folder / name) for name in folders}
        _demand_names(wanted, path, layout)
        stamps |= {
            file.name: self._store.verify(
                base_place(path, layout, file.name), file.sha256, file.size
            )
            for file in wanted.files
        }
        return BasePlace(path, layout, stamps)

    def lora(self, wanted: LoraUse) -> Path:
        found = self._brought(wanted) or self._found_loras.get(wanted.sha256)
        if found is not None and self._is(found, wanted.sha256, wanted.size):
            return found
        preset = self._stock.catalog.loras.get(wanted.slug)
        if preset is None:
            raise _gone(wanted.slug)
        path = self._store.locate(preset)
        self._store.verify(path, wanted.sha256, wanted.size)
        self._check_pin(preset, wanted.sha256)
        return path

    def reference(self, wanted: ReferenceImage) -> Path:
        place = self._references.locate(wanted.sha256)
        if place is None:
            raise UnusableReference("it is no longer stored", "Give it again.")
        load_reference(place, wanted)
        return place

    def pin(self, plan: RunPlan) -> None:
        """Pin what made a picture: a file that the engine refuses is never pinned."""
        pinned, catalog = self._store.state.pins(), self._stock.catalog
        self._pin(pinned, catalog.models.get(plan.base.slug), plan.base.sha256)
        for use in plan.loras:
            self._pin(pinned, catalog.loras.get(use.slug), use.sha256)

    def _pin(
        self, pinned: Mapping[str, str], preset: ModelPreset | LoraPreset | None, sha256: str
    ) -> None:
        if preset is None or preset.sha256 is not None:
            return
        key = memory_key(preset)
        if pinned.get(key) != sha256:
            self._store.state.pin(key, sha256)

    def _check_pin(self, preset: ModelPreset | LoraPreset, sha256: str) -> None:
        if preset.sha256 is None:
            self._store.state.check_pin(memory_key(preset), sha256)


def _demand_names(wanted: BaseIdentity, path: Path, layout: Path | None) -> None:
    """Nothing lies there that would be loaded and that the plan does not name.

    Raises:
        WeightsError: naming it, or what makes the folder unusable.
    """
    named = {file.name for file in wanted.files}
    if layout is None:
        there = loaded_files(path, variant_of(sorted(named))).names
    else:
        there = layout_files(layout)
    new = sorted(set(there) - named)
    if new:
        raise WeightsError(
            f"{path.name} has {new[0]!r} now, which loading reads and the plan does not name.",
            "Make the plan again, or take the file out of the folder.",
            path,
        )


def _whence(source: str) -> str:
    """Where weights could come from again; nowhere, where they were local or the studio's own."""
    return "" if source in ("local", "embedded") else source


def _gone(slug: str) -> WeightsError:
    return WeightsError(
        f"The plan names {slug!r}, which no preset has any more.", "Resolve the request again."
    )
