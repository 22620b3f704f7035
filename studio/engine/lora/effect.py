"""What LoRAs add at their own layers, on inputs that those had when the base was probed.

It reads the LoRAs' weights alone, and it is linear in the strength: one measurement holds for all
strengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from studio.engine.base.folder import Pipeline, components_of
from studio.engine.lora.match import base_modules
from studio.engine.lora.slot import FoundSlot, LoraPlace, LoraSlot

ROWS = 4
"""Inputs that are kept of a linear layer; of a convolution it is one picture, which is small."""

At = tuple[str, str]
"""(component, module)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of a layer's inputs, and what the base makes of them.

    Attributes:
        inputs: (ROWS, in) of a linear layer, (1, in, height, width) of a convolution.
        outputs: (ROWS, out), (1, out, height, width).
    """

    inputs: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)


@contextmanager
def sampling(pipeline: Pipeline) -> Iterator[dict[At, Sample]]:
    """Keep a sample of each linear and convolution layer that is called meanwhile, of its first
    call, but for those that give nothing but zeros: no share of nothing could be told.

    The pipeline must be without LoRAs.
    """
    samples: dict[At, Sample] = {}

    def keeper(at: At) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            if at not in samples and bool(_some(module, output).any()):
                samples[at] = Sample(_some(module, given[0]), _some(module, output))

        return keep

    handles = [
        module.register_forward_hook(keeper((component, name)))
        for component, model in components_of(pipeline).items()
        for name, module in base_modules(model).items()
    ]
    try:
        yield samples
    finally:
        for handle in handles:
            handle.remove()


def _some(module: nn.Module, values: Tensor) -> Tensor:
    if isinstance(module, nn.Conv2d):
        return values[:1].clone()
    rows = values.reshape(-1, values.shape[-1])
    chosen = torch.linspace(0, len(rows) - 1, min(ROWS, len(rows))).long()
    return rows[chosen.to(rows.device)]


@dataclass(frozen=True, slots=True)
class MeasuredEffect:
    """What LoRAs add to the outputs of the base's layers, each at strength 1.

    Attributes:
        products: (name, name) → the inner product of what the two add, over all layers.
        squares: of the base's own outputs of the layers that a LoRA changes, summed, by its name;
            of the layers that any of them changes under "".
        largest: name → the largest share that it adds to one number of an output.
        smallest: the smallest share that changes a number, in the dtype of the outputs.
    """

    products: Mapping[tuple[str, str], float]
    squares: Mapping[str, float]
    largest: Mapping[str, float]
    smallest: float

    def effect(self, strengths: Mapping[str, float]) -> float:
        """|what they add| / |what the base gives| (Euclidean norms over the layers they change).

        0 for one LoRA that is too weak to change any number.

        Args:
            strengths: of one of the LoRAs, or of all.
        """
        total = sum(
            (1 if one == other else 2) * strengths[one] * strengths[other] * product
            for (one, other), product in self.products.items()
            if one in strengths and other in strengths
        )
        key = next(iter(strengths)) if len(strengths) == 1 else ""
        if len(strengths) == 1 and abs(strengths[key]) * self.largest[key] < self.smallest:
            return 0.0
        return math.sqrt(max(0.0, total) / self.squares[key])

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, self.products.values()))


@torch.no_grad()
def measure(
    slots: Iterable[FoundSlot],
    samples: Mapping[At, Sample],
    names: Sequence[str],
    shares: Mapping[LoraPlace, float] | None = None,
) -> MeasuredEffect:
    """Let these LoRAs add to the samples; the base is not called.

    Args:
        slots: all of a pipeline's.
        names: of LoRAs of which each changes a layer with a sample.
        shares: where a LoRA's strength is not the same everywhere, how strong it is there at its
            strength of 1; where that is 0, it changes nothing.
    """
    share = shares or {}
    pairs = list(combinations_with_replacement(sorted(names), 2))
    products: dict[tuple[str, str], list[Tensor]] = {pair: [] for pair in pairs}
    squares: dict[str, list[Tensor]] = {name: [] for name in (*names, "")}
    largest: dict[str, list[Tensor]] = {name: [] for name in names}
    smallest = 0.0
    for component, module, slot in slots:
        sample = samples.get((component, module))
        factors = {
            name: share.get(LoraPlace(component, module, name), 1.0)
            for name in names
            if name in slot.scales
        }
        here = [name for name, factor in factors.items() if factor]
        if sample is None or not here:
            continue
        smallest = max(smallest, torch.finfo(sample.outputs.dtype).eps / 2)
        base = sample.outputs.float()
        square = base.square().sum()
        added = {name: _added(slot, name, sample) * factors[name] for name in here}
        for name in (*here, ""):
            squares[name].append(square)
        for name in here:
            largest[name].append((added[name] / base).abs().nan_to_num(nan=0.0).amax())
        for one, other in pairs:
            if one in added and other in added:
                products[one, other].append((added[one] * added[other]).sum())
    return MeasuredEffect(
        {pair: _sum(values) for pair, values in products.items()},
        {name: _sum(values) for name, values in squares.items()},
        {name: float(torch.stack(values).max()) for name, values in largest.items()},
        smallest,
    )


def _added(slot: LoraSlot, name: str, sample: Sample) -> Tensor:
    """In float32, where the base's outputs are kept."""
    device = next(slot.delta(name).parameters()).device
    added = slot.added(name, sample.inputs.to(device)).float() * slot.scales[name]
    return added.to(sample.outputs.device)


def _sum(values: Sequence[Tensor]) -> float:
    return float(torch.stack(list(values)).cpu().double().sum()) if values else 0.0
