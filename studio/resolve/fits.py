"""How the applied LoRAs fit the base: each pair of files is compared once."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

from studio.inspection import LoraInspection
from studio.inspection.fit import Fit, check_fit
from studio.presets import LoraPreset, ModelPreset
from studio.resolve.inventory import Inventory, TensorShapes

T = TypeVar("T")


def lora_fits(
    applied: Iterable[LoraPreset], model: ModelPreset, inventory: Inventory
) -> dict[str, Fit]:
    """Slug → how its file fits the base, of those whose files are there, are LoRAs and say the
    base's architecture."""
    base = inventory.bases.get(model.slug)
    if base is None:
        return {}
    fits: dict[str, Fit] = {}
    for preset in applied:
        weights = inventory.loras.get(preset.slug)
        same = preset.base_architecture is model.base_architecture
        if weights is not None and same and weights.inspection.kind == "lora":
            fits[preset.slug] = _fit(
                _Same(weights.inspection), _Same(base.shapes), model.label, model.base_architecture
            )
    return fits


class _Same(Generic[T]):
    """Equal to what holds the very same object. The store gives one for as long as a file stays
    what it is."""

    __slots__ = ("held",)

    def __init__(self, held: T) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


@lru_cache(maxsize=32)  # a page's LoRAs, or the checkpoints of a trial
def _fit(
    inspection: _Same[LoraInspection],
    shapes: _Same[Mapping[str, TensorShapes]],
    label: str,
    architecture: str,
) -> Fit:
    """``check_fit`` is most of a plan's time, and every key that is pressed makes a plan."""
    return check_fit(inspection.held, shapes.held, label, architecture)
