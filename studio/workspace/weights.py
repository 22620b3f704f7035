"""The library as a backend sees it: where a plan's files lie, each proven by its SHA-256."""

from collections.abc import Mapping
from pathlib import Path

from studio.backends import BasePlace
from studio.contract.plan import BaseIdentity, LoraUse, RunPlan
from studio.contract.request import ReferenceImage
from studio.errors import UnusableReference, WeightsError
from studio.imaging.references import References
from studio.imaging.references import load as load_reference
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.presets import LoraPreset, ModelPreset
from studio.presets.origin import memory_key
from studio.resolve.inventory import base_place


class LibraryWeights:
    """What plans name, looked up by preset and hashed; a ``Weights``.

    A preset without a hash is held to the one that it was pinned to when it first made a picture.
    """

    def __init__(self, store: WeightStore, stock: Stock, references: References) -> None:
        self._store = store
        self._stock = stock
        self._references = references

    def base(self, wanted: BaseIdentity) -> BasePlace:
        preset = self._stock.catalog.models.get(wanted.slug)
        if preset is None:
            raise _gone(wanted.slug)
        path, layout = self._store.locate(preset), self._store.layout(preset)
        stamps = {
            file.name: self._store.verify(
                base_place(path, layout, file.name), file.sha256, file.size
            )
            for file in wanted.files
        }
        self._check_pin(preset, wanted.sha256)
        return BasePlace(path, layout, stamps)

    def lora(self, wanted: LoraUse) -> Path:
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
            raise UnusableReference("it is not kept here any more", "Give it again.")
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


def _gone(slug: str) -> WeightsError:
    return WeightsError(
        f"The plan names {slug!r}, which no preset has any more.", "Resolve the request again."
    )
