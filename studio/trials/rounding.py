"""How much of an update a base in bfloat16 would round away, if it were merged into the base.

bfloat16 has 8 bits of mantissa, so that what is added to a weight is lost where it is smaller than
about 1/512 of it. The studio merges nothing; whoever ships a merged base does.
"""

from collections.abc import Sequence
from math import isfinite, sqrt

import torch
from safetensors import safe_open
from torch import Tensor

from studio.architecture import Architecture
from studio.architecture.layer_names import Rows
from studio.inspection import LoraInspection
from studio.inspection.fit import check_fit
from studio.library.base_tensors import BaseTensorPlaces, StoredTensor

ROWS = 16
"""Rows of each weight that are read, evenly over all of them: the same ones each time."""


class BaseRows:
    """Some rows of every weight of a base that LoRAs of one run change, read once.

    Args:
        label: what the base is called.
    """

    def __init__(self, label: str, architecture: Architecture, places: BaseTensorPlaces) -> None:
        self.label = label
        self._architecture = architecture
        self._places = places
        self._shapes = {
            component: {name: each.shape for name, each in tensors.items()}
            for component, tensors in places.items()
        }
        self._read: dict[StoredTensor, tuple[Tensor, Tensor]] = {}

    @property
    def says(self) -> str:
        """What the number is, in words."""
        return (
            f"Share of the update that a merge into {self.label} in bfloat16 would round away, "
            f"from {ROWS} rows of each weight."
        )

    def lost(
        self, inspection: LoraInspection, layers: Sequence[tuple[str, tuple[Tensor, ...]]]
    ) -> float | None:
        """‖ΔW − (bf16(W + ΔW) − W)‖ / ‖ΔW‖ with W in bfloat16, over the rows that are read, those
        of each weight counting as all of its rows; None where no layer has a place in the base or
        the update is nothing.

        Args:
            layers: name → ΔW at strength 1, whole or as factors up·down.
        """
        fit = check_fit(inspection, self._shapes, self.label, self._architecture)
        updates, lost, whole = dict(layers), 0.0, 0.0
        for target in fit.placements:
            for slot in target.slots:
                at, weights, share = self._rows(target.component, f"{slot.module}.weight")
                update = _rows_of(updates[target.layer], _own(slot.rows, at))
                kept = (weights.float() + update).bfloat16().float() - weights.float()
                lost += share * float((update - kept).square().sum(dtype=torch.float64))
                whole += share * float(update.square().sum(dtype=torch.float64))
        return sqrt(lost / whole) if whole and isfinite(whole) else None

    def _rows(self, component: str, name: str) -> tuple[Tensor, Tensor, float]:
        """Which rows, these in bfloat16 flattened, and how many each stands for."""
        tensor = self._places[component][name]
        count = tensor.shape[0]
        if tensor not in self._read:
            several = min(ROWS, count)
            at = torch.tensor([n * count // several for n in range(several)])
            with safe_open(tensor.file, framework="pt") as file:
                stored = file.get_slice(tensor.name)
                rows = [stored[tensor.first + n : tensor.first + n + 1] for n in at.tolist()]
            self._read[tensor] = at, torch.cat(rows).flatten(1).bfloat16()
        at, weights = self._read[tensor]
        return at, weights, count / len(at)


def _own(rows: Rows, at: Tensor) -> Tensor:
    """A module's rows as those of the layer that has them."""
    if not rows:
        return at
    return torch.cat([torch.arange(start, end) for start, end in rows])[at]


def _rows_of(update: tuple[Tensor, ...], at: Tensor) -> Tensor:
    return update[0][at] if len(update) == 1 else update[0][at] @ update[1]
