"""What a LoRA adds to a module's output, ΔW·x before its scale: one class for a decomposition.

Formulas from LyCORIS (``lycoris/functional``). How each is stored and measured is in its
counterpart in ``studio.inspection.decompositions``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from studio.architecture.layer_names import Rows
from studio.inspection.decompositions import Decomposition


class LayerParts(Protocol):
    """The tensors of a layer of a file by the part they play (``down``, ``hada_w1_a``, …)."""

    def __contains__(self, part: object) -> bool: ...

    def __getitem__(self, part: str) -> Tensor:
        """As it is computed with; the same tensor each time."""
        ...

    def stored(self, part: str) -> Tensor:
        """As the file has it, in float32."""
        ...

    def cast(self, tensor: Tensor) -> Tensor:
        """To the dtype that is computed with."""
        ...


@dataclass(frozen=True, slots=True)
class BaseModule:
    """A module of the base, as far as a ΔW must know it.

    Attributes:
        shape: of its weight.
        convolution: keyword arguments of ``conv2d``; None for a linear layer.
        rows: of the layer's output, which are this module's; empty means all.
    """

    shape: tuple[int, ...]
    convolution: Mapping[str, Any] | None = None
    rows: Rows = ()

    @classmethod
    def of(cls, module: nn.Module, rows: Rows = ()) -> Self:
        if not isinstance(module, nn.Conv2d):
            return cls(shape_of(module), None, rows)
        names = ("stride", "padding", "dilation")
        return cls(shape_of(module), {name: getattr(module, name) for name in names}, rows)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """What the module does with its weight."""
        if self.convolution is None:
            return functional.linear(x, weight, bias)
        return functional.conv2d(x, weight, bias, **self.convolution)

    def on_points(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The same on each point of the output by itself: what follows a first factor."""
        if self.convolution is None:
            return functional.linear(x, weight, bias)
        return functional.conv2d(x, weight, bias)

    def as_points(self, matrix: Tensor) -> Tensor:
        """A matrix as a weight for ``on_points``."""
        return matrix if self.convolution is None else matrix[:, :, None, None]

    def by_channel(self, vector: Tensor) -> Tensor:
        """One number per channel, shaped to multiply an input or an output."""
        return vector if self.convolution is None else vector[:, None, None]

    def own(self, tensor: Tensor, axis: int = 0) -> Tensor:
        """This module's rows along an axis, in its order; the tensor itself if all of them."""
        if not self.rows:
            return tensor
        return torch.cat([tensor.narrow(axis, a, b - a) for a, b in self.rows], axis)


def shape_of(layer: nn.Module) -> tuple[int, ...]:
    """Of a base's linear or convolution layer, wherever its weight is kept."""
    return tuple(layer.get_parameter("weight").shape)


class Delta(nn.Module, ABC):
    """x ↦ ΔW·x (+ bias) for one module.

    Args:
        bias: (out,), added to the output.
        weights: by name; all in one dtype, to which an input is to be cast.
    """

    bias: Tensor | None

    def __init__(self, site: BaseModule, bias: Tensor | None = None, **weights: Tensor) -> None:
        super().__init__()
        self.site = site
        self.dtype = next(iter(weights.values())).dtype
        self.names = tuple(weights)
        for name, weight in weights.items():
            self.register_parameter(name, nn.Parameter(weight, requires_grad=False))
        frozen = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.register_parameter("bias", frozen)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    def _with_bias(self, change: Tensor) -> Tensor:
        return change if self.bias is None else change + self.site.by_channel(self.bias)

    @abstractmethod
    def matrix(self) -> Tensor:
        """ΔW in float32: (out, in) or (out, in, height, width)."""

    @property
    def acts(self) -> bool:
        """Whether it can change anything: a product does only if no factor is zero."""
        factors = (self._parameters[name] for name in self.names)
        return self.bias is not None or all(
            bool(part.any()) for part in factors if part is not None
        )


class Product(Delta):
    """up·down, or with a Tucker core up·(mid * down) (LoCon's ``lora_mid``).

    ``down`` is (rank, in) or (rank, in, height, width), ``up`` (out, rank) or (out, rank, 1, 1),
    ``mid`` (rank, rank, height, width), where ``down`` is 1 by 1.
    """

    down: Tensor
    up: Tensor

    @classmethod
    def build(cls, parts: LayerParts, site: BaseModule, bias: Tensor | None = None) -> Product:
        up, down = site.own(parts["up"].flatten(1)), parts["down"]
        if "mid" not in parts:
            down = down.reshape(down.shape[0], *site.shape[1:])
        elif site.convolution is None:
            up, down = up @ parts["mid"].flatten(1), down.flatten(1)
        else:
            up, down = site.as_points(up), site.as_points(down.flatten(1))
            return cls(site, bias, down=down, up=up, mid=parts["mid"])
        return cls(site, bias, down=down, up=site.as_points(up).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        mid = self._parameters.get("mid")
        if mid is None:
            inner = self.site(x, self.down)
        else:
            inner = self.site(functional.conv2d(x, self.down), mid)
        return self.site.on_points(inner, self.up, self.bias)

    def matrix(self) -> Tensor:
        down, up, mid = self.down.float(), self.up.float().flatten(1), self._parameters.get("mid")
        if mid is None:
            return (up @ down.flatten(1)).view(up.shape[0], *down.shape[1:])
        return torch.einsum("or,rskl,si->oikl", up, mid.float(), down.flatten(1))


class Hadamard(Delta):
    """LoHa: (w1_a·w1_b) ∘ (w2_a·w2_b), each (out, rank)·(rank, in·kernel).

    With cores t1, t2 of (rank, rank, height, width) the factors a are (rank, out).
    """

    @classmethod
    def build(cls, parts: LayerParts, site: BaseModule, bias: Tensor | None = None) -> Hadamard:
        names = [name for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")
                 if f"hada_{name}" in parts]  # fmt: skip
        weights = {name: parts[f"hada_{name}"] for name in names}
        axis = 1 if "t1" in weights else 0  # beside a core the outputs come second
        for name in ("w1_a", "w2_a"):
            weights[name] = site.own(weights[name], axis)
        return cls(site, bias, **weights)

    def forward(self, x: Tensor) -> Tensor:
        return self._with_bias(self.site(x, self._product(x.dtype)))

    def matrix(self) -> Tensor:
        return self._product(torch.float32)

    def _product(self, dtype: torch.dtype) -> Tensor:
        part = {name: self.get_parameter(name).to(dtype) for name in self.names}
        if "t1" in part:
            core = "rskl,si,ro->oikl"
            first = torch.einsum(core, part["t1"], part["w1_b"], part["w1_a"])
            second = torch.einsum(core, part["t2"], part["w2_b"], part["w2_a"])
            product = first * second
        else:
            product = (part["w1_a"] @ part["w1_b"]) * (part["w2_a"] @ part["w2_b"])
        return product.view(self.site.shape)


class Kronecker(Delta):
    """LoKr: left ⊗ right, applied factor by factor: the product is never built.

    ``left`` is (out₁, in₁), ``right`` (out₂, in₂) or (out₂, in₂, height, width).
    """

    left: Tensor
    right: Tensor

    @classmethod
    def build(cls, parts: LayerParts, site: BaseModule, bias: Tensor | None = None) -> Kronecker:
        left, right = cls._factor(parts, "w1").flatten(1), cls._factor(parts, "w2").flatten(1)
        if site.convolution is not None:
            right = right.reshape(right.shape[0], site.shape[1] // left.shape[1], *site.shape[2:])
        return cls(site, bias, left=left, right=right)

    @staticmethod
    def _factor(parts: LayerParts, which: str) -> Tensor:
        """Whole; or made in float32, and only then cast."""
        if f"lokr_{which}" in parts:
            return parts[f"lokr_{which}"]
        a, b = parts.stored(f"lokr_{which}_a"), parts.stored(f"lokr_{which}_b")
        if which == "w1" or "lokr_t2" not in parts:
            return parts.cast(a @ b)
        return parts.cast(torch.einsum("rskl,ro,si->oikl", parts.stored("lokr_t2"), a, b))

    def forward(self, x: Tensor) -> Tensor:
        axis = -1 if self.site.convolution is None else 1
        return self._with_bias(self.site.own(self._product(x), axis))

    def _product(self, x: Tensor) -> Tensor:
        first = self.left.shape[1]
        if self.site.convolution is None:
            inner = self.site(_unflatten(x, -1, (first, -1)), self.right)
            return torch.einsum("oi,...ip->...op", self.left, inner).flatten(-2)
        batch = x.shape[0]
        split = _unflatten(x, 1, (first, -1)).flatten(0, 1)
        inner = _unflatten(self.site(split, self.right), 0, (batch, first))
        return torch.einsum("oi,bi...->bo...", self.left, inner).flatten(1, 2)

    def matrix(self) -> Tensor:
        left, right = self.left.float(), self.right.float()
        left = left.view(*left.shape, *(1 for _ in right.shape[2:]))
        return self.site.own(torch.kron(left, right))


def _unflatten(tensor: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    split: Tensor = tensor.unflatten(axis, sizes)  # type: ignore[no-untyped-call]
    return split


class Full(Delta):
    """A whole difference ΔW."""

    difference: Tensor

    @classmethod
    def build(cls, parts: LayerParts, site: BaseModule, bias: Tensor | None = None) -> Full:
        return cls(site, bias, difference=site.own(parts["diff"]).reshape(site.shape))

    def forward(self, x: Tensor) -> Tensor:
        return self._with_bias(self.site(x, self.difference))

    def matrix(self) -> Tensor:
        return self.difference.float()


BUILDERS: Mapping[Decomposition, Callable[[LayerParts, BaseModule, Tensor | None], Delta]] = {
    Decomposition.LORA: Product.build,
    Decomposition.LOHA: Hadamard.build,
    Decomposition.LOKR: Kronecker.build,
    Decomposition.FULL: Full.build,
}
"""Every decomposition but that of norms, which the gate refuses (``inspection.fit``)."""
