"""A file's layers → modules to be put into the base's, built on the CPU and checked there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from studio.architecture.layer_names import Rows
from studio.engine.lora.deltas import (
    Delta,
    Factor,
    Full,
    Hadamard,
    Kronecker,
    Operation,
    Product,
    Shift,
    rows_of,
    shape_of,
)
from studio.engine.lora.dora import Decomposed, ratios
from studio.engine.lora.match import Target
from studio.engine.lora.read import LoraLayer
from studio.errors import LoraRefused

_WAY_OUT = "Use another file of this LoRA."


@dataclass(frozen=True, slots=True)
class Built:
    """What goes into one module of the base.

    Attributes:
        down, up: peft's ``lora_A`` and ``lora_B``.
        rank: 1 where the decomposition has none.
        scale: what ``up(down(x))`` is multiplied by at strength 1.
        weights: a copy of every tensor of ``down`` and ``up``, on the CPU, to be read back.
    """

    component: str
    module: str
    down: nn.Module
    up: nn.Module
    rank: int
    scale: float
    weights: tuple[Tensor, ...] = field(repr=False)


def build(slug: str, targets: Sequence[Target], dtype: torch.dtype) -> tuple[Built, ...]:
    """Everything of a file, in the base's dtype; the base is only looked at.

    Raises:
        LoraRefused: weights that are not finite in ``dtype``, or nothing but zeros.
    """
    made: list[Built] = []
    by_layer: dict[str, list[Target]] = {}
    for target in targets:
        by_layer.setdefault(target.layer.module.path, []).append(target)
    for name, group in by_layer.items():
        built = _Layer(slug, group[0].layer, dtype).build(group)
        if not all(_is_finite(part) for item in built for part in item.weights):
            text = f"{name} has weights that are not finite numbers in {_name(dtype)}."
            raise LoraRefused(slug, (text,), _WAY_OUT)
        made.extend(built)
    if not any(_acts(item) for item in made):
        text = "Every layer multiplies to zero: it changes nothing."
        raise LoraRefused(slug, (text,), "Fetch it again, or train it for longer.")
    return tuple(made)


def _is_finite(weights: Tensor) -> bool:
    """By the extremes, which are NaN where any weight is: an order faster than ``isfinite``."""
    low, high = torch.aminmax(weights)
    return math.isfinite(low.item()) and math.isfinite(high.item())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _acts(built: Built) -> bool:
    """Whether it can change anything: a product does only if no factor is zero."""
    if isinstance(built.down, Decomposed | Full):
        return True
    bias = getattr(built.up, "bias", None)
    return all(bool(part.any()) for part in built.weights) or bias is not None


class _Layer:
    """One layer of the file; builds the same ΔW for each module that has rows of it."""

    def __init__(self, slug: str, layer: LoraLayer, dtype: torch.dtype) -> None:
        self._slug = slug
        self._layer = layer
        self._dtype = dtype
        self._cast: dict[str, Tensor] = {}

    def build(self, targets: Sequence[Target]) -> list[Built]:
        kind = self._layer.module.decomposition
        plain = kind == "lora" and "mid" not in self._layer.tensors
        if self._layer.module.dora:
            return self._decomposed(targets)
        if plain:
            return [self._plain(target) for target in targets]
        return [self._placed(target, self._delta(target), self._layer.scale) for target in targets]

    def _plain(self, target: Target) -> Built:
        """peft's own two matrices, so that what it computes is what it computes for diffusers."""
        operation = Operation.of(target.base)
        up = rows_of(self._part("up").flatten(1), target.rows)
        if operation.convolution is not None:
            up = up[:, :, None, None]
        # Parts of a fused layer share one tensor for ``down``.
        first = Factor(self._down(target.base), operation)
        scale = self._layer.scale
        bias = self._bias(target.rows, scale)
        second = Factor(up.contiguous(), operation.of_points, bias)
        return self._made(target, first, second, scale)

    def _placed(self, target: Target, delta: Delta, scale: float) -> Built:
        bias = self._bias(target.rows, scale)
        second = nn.Identity() if bias is None else Shift(bias, Operation.of(target.base))
        return self._made(target, delta, second, scale)

    def _made(self, target: Target, down: nn.Module, up: nn.Module, scale: float) -> Built:
        weights = tuple(part.detach() for module in (down, up) for part in module.parameters())
        return Built(target.component, target.module, down, up, self._rank, scale, weights)

    @property
    def _rank(self) -> int:
        return self._layer.module.rank or 1

    def _delta(self, target: Target) -> Delta:
        makers = {
            "lora": self._product,
            "loha": self._hadamard,
            "lokr": self._kronecker,
            "full": self._full,
        }
        return makers[self._layer.module.decomposition](target)

    def _product(self, target: Target) -> Delta:
        up = rows_of(self._part("up").flatten(1), target.rows)
        operation = Operation.of(target.base)
        if "mid" not in self._layer.tensors:
            return Product(self._down(target.base), up, operation)
        mid, down = self._part("mid"), self._part("down").flatten(1)
        if operation.convolution is None:
            return Product(down, up @ mid.flatten(1), operation)
        return Product(down[:, :, None, None], up, operation, mid)

    def _hadamard(self, target: Target) -> Delta:
        parts = {
            name.removeprefix("hada_"): self._part(name)
            for name in self._layer.tensors
            if name.startswith("hada_")
        }
        turned = "t1" in parts  # beside a core the outputs come second
        for name in ("w1_a", "w2_a"):
            part = rows_of(parts[name].T if turned else parts[name], target.rows)
            parts[name] = part.T.contiguous() if turned else part
        return Hadamard(parts, shape_of(target.base), Operation.of(target.base))

    def _kronecker(self, target: Target) -> Delta:
        left, right = self._factor("w1").flatten(1), self._factor("w2")
        shape = shape_of(target.base)
        if len(shape) == 4:
            right = right.reshape(right.shape[0], shape[1] // left.shape[1], *shape[2:])
        else:
            right = right.flatten(1)
        return Kronecker(left, right, Operation.of(target.base), target.rows)

    def _factor(self, which: str) -> Tensor:
        """A Kronecker factor in float32 until it is whole; see ``lora_module._factor``."""
        tensors = self._layer.tensors
        if f"lokr_{which}" in tensors:
            return self._part(f"lokr_{which}")
        a, b = tensors[f"lokr_{which}_a"].float(), tensors[f"lokr_{which}_b"].float()
        core = tensors.get("lokr_t2") if which == "w2" else None
        if core is None:
            return (a @ b).to(self._dtype)
        return torch.einsum("rskl,ro,si->oikl", core.float(), a, b).to(self._dtype)

    def _full(self, target: Target) -> Delta:
        difference = rows_of(self._part("diff"), target.rows)
        shape = shape_of(target.base)
        return Full(difference.reshape(shape), Operation.of(target.base))

    def _decomposed(self, targets: Sequence[Target]) -> list[Built]:
        scale = self._layer.scale
        magnitude = self._layer.tensors["dora"]
        of_inputs = self._layer.module.magnitudes_of_inputs(tuple(magnitude.shape))
        assert of_inputs is not None  # read_lora refuses what fits no axis
        flat = magnitude.float().flatten()
        deltas = [self._delta(target) for target in targets]
        parts = [
            (target.base, delta, flat if of_inputs else rows_of(flat, target.rows))
            for target, delta in zip(targets, deltas, strict=True)
        ]
        found = ratios(flat, of_inputs, scale, parts)
        return [
            self._placed(
                target, Decomposed(delta, scale, ratio.cpu(), of_inputs, target.base), 1.0
            )
            for target, delta, ratio in zip(targets, deltas, found, strict=True)
        ]

    def _down(self, base: nn.Module) -> Tensor:
        down = self._part("down")
        wanted = (down.shape[0], *shape_of(base)[1:])
        return down if tuple(down.shape) == wanted else down.reshape(wanted)

    def _bias(self, rows: Rows, scale: float) -> Tensor | None:
        """The file's bias as it stands before the layer's ``scale`` multiplies it.

        peft scales its own as the matrices; a ``diff_b`` knows no alpha.
        """
        if "bias" not in self._layer.tensors:
            return None
        bias = rows_of(self._layer.tensors["bias"].float().flatten(), rows)
        wanted = self._layer.scale if self._layer.module.bias_is_scaled else 1.0
        if wanted != scale:
            assert scale  # read_lora refuses a diff_b beside an alpha of 0
            bias = bias * wanted / scale
        return bias.to(self._dtype)

    def _part(self, name: str) -> Tensor:
        if name not in self._cast:
            self._cast[name] = self._layer.tensors[name].to(self._dtype, copy=True)
        return self._cast[name]
