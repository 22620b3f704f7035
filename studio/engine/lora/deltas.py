"""What a LoRA layer adds to a module's output, for decompositions that peft's layer has not.

Each is a module x ↦ ΔW·x without scale, of the kind that peft's LoRA layer takes as its
``lora_A`` (with an identity, or a bias, as ``lora_B``): it then adds ``ΔW·x`` times the
effective scale, switches it, and removes it like any other. Formulas from LyCORIS
(``lycoris/functional``); ``matrix`` gives ΔW itself, (out, in) or (out, in, height, width),
in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from studio.architecture.layer_names import Rows


@dataclass(frozen=True, slots=True)
class Operation:
    """What a base's module does with its weight.

    Attributes:
        convolution: keyword arguments of ``conv2d``; None for a linear layer.
    """

    convolution: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, module: nn.Module) -> Operation:
        if not isinstance(module, nn.Conv2d):
            return cls()
        return cls(
            {"stride": module.stride, "padding": module.padding, "dilation": module.dilation}
        )

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.convolution is None:
            return functional.linear(x, weight, bias)
        return functional.conv2d(x, weight, bias, **self.convolution)

    @property
    def of_points(self) -> Operation:
        """The same on each point of the output by itself: what follows a first factor."""
        return Operation() if self.convolution is None else Operation({})

    def by_channel(self, vector: Tensor) -> Tensor:
        """One number per channel, shaped to multiply an input or an output."""
        return vector if self.convolution is None else vector[:, None, None]

    def take(self, output: Tensor, rows: Rows) -> Tensor:
        """Those rows of an output, in their order."""
        if not rows:
            return output
        axis = -1 if self.convolution is None else 1
        return torch.cat([output.narrow(axis, a, b - a) for a, b in rows], axis)


def shape_of(layer: nn.Module) -> tuple[int, ...]:
    """Of a base's linear or convolution layer, wherever its weight is kept."""
    return tuple(layer.get_parameter("weight").shape)


def rows_of(tensor: Tensor, rows: Rows) -> Tensor:
    """Those rows of a matrix, in their order; the tensor itself if all of them."""
    return torch.cat([tensor[start:end] for start, end in rows]) if rows else tensor


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _unflatten(tensor: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    split: Tensor = tensor.unflatten(axis, sizes)  # type: ignore[no-untyped-call]
    return split


class Delta(nn.Module):
    """Base of all: peft casts a layer's input to the dtype of ``weight``."""

    @property
    def weight(self) -> Tensor:
        return next(self.parameters())

    def matrix(self) -> Tensor:
        raise NotImplementedError


class Factor(Delta):
    """One of peft's two matrices, with its bias if it has one.

    It computes what the linear or convolution layer computes that peft would put here; made
    from its weight, where theirs draw one that is then replaced.
    """

    def __init__(self, matrix: Tensor, operation: Operation, bias: Tensor | None = None) -> None:
        super().__init__()
        self.kernel = _frozen(matrix)
        self.bias = None if bias is None else _frozen(bias)
        self._operation = operation

    @property
    def weight(self) -> Tensor:
        return self.kernel

    def forward(self, x: Tensor) -> Tensor:
        return self._operation(x, self.kernel, self.bias)

    def matrix(self) -> Tensor:
        return self.kernel.float()


class Product(Delta):
    """up·down, or with a Tucker core up·(mid * down) (LoCon's ``lora_mid``).

    Args:
        down: (rank, in) or (rank, in, height, width); 1 by 1 where there is a core.
        up: (out, rank).
        mid: (rank, rank, height, width).
    """

    def __init__(
        self, down: Tensor, up: Tensor, operation: Operation, mid: Tensor | None = None
    ) -> None:
        super().__init__()
        self.down, self.up = _frozen(down), _frozen(up)
        self.mid = None if mid is None else _frozen(mid)
        self._operation = operation

    def forward(self, x: Tensor) -> Tensor:
        if self.mid is not None:
            inner = self._operation(functional.conv2d(x, self.down), self.mid)
        else:
            inner = self._operation(x, self.down)
        if self._operation.convolution is None:
            return functional.linear(inner, self.up)
        return functional.conv2d(inner, self.up[:, :, None, None])

    def matrix(self) -> Tensor:
        down, up = self.down.float(), self.up.float()
        if self.mid is None:
            return (up @ down.flatten(1)).view(up.shape[0], *down.shape[1:])
        return torch.einsum("or,rskl,si->oikl", up, self.mid.float(), down.flatten(1))


class Hadamard(Delta):
    """LoHa: (w1_a·w1_b) ∘ (w2_a·w2_b), each (out, rank)·(rank, in·kernel).

    With cores t1, t2 of (rank, rank, height, width) the factors a are (rank, out).

    Args:
        shape: of the weight that it changes.
    """

    def __init__(
        self, parts: Mapping[str, Tensor], shape: tuple[int, ...], operation: Operation
    ) -> None:
        super().__init__()
        self.parts = nn.ParameterDict({name: _frozen(part) for name, part in parts.items()})
        self._shape = shape
        self._operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self._operation(x, self._product(x.dtype))

    def matrix(self) -> Tensor:
        return self._product(torch.float32)

    def _product(self, dtype: torch.dtype) -> Tensor:
        part = {name: value.to(dtype) for name, value in self.parts.items()}
        if "t1" in part:
            core = "rskl,si,ro->oikl"
            first = torch.einsum(core, part["t1"], part["w1_b"], part["w1_a"])
            second = torch.einsum(core, part["t2"], part["w2_b"], part["w2_a"])
            product = first * second
        else:
            product = (part["w1_a"] @ part["w1_b"]) * (part["w2_a"] @ part["w2_b"])
        return product.view(self._shape)


class Kronecker(Delta):
    """LoKr: left ⊗ right, applied factor by factor: the product is never built.

    Args:
        left: (out₁, in₁); right: (out₂, in₂) or (out₂, in₂, height, width).
        rows: of the out₁·out₂ rows, which this module has.
    """

    def __init__(self, left: Tensor, right: Tensor, operation: Operation, rows: Rows = ()) -> None:
        super().__init__()
        self.left, self.right = _frozen(left), _frozen(right)
        self._operation = operation
        self._rows = rows

    def forward(self, x: Tensor) -> Tensor:
        return self._operation.take(self._product(x), self._rows)

    def _product(self, x: Tensor) -> Tensor:
        first = self.left.shape[1]
        if self._operation.convolution is None:
            inner = self._operation(_unflatten(x, -1, (first, -1)), self.right)
            return torch.einsum("oi,...ip->...op", self.left, inner).flatten(-2)
        batch = x.shape[0]
        split = _unflatten(x, 1, (first, -1)).flatten(0, 1)
        inner = _unflatten(self._operation(split, self.right), 0, (batch, first))
        return torch.einsum("oi,bi...->bo...", self.left, inner).flatten(1, 2)

    def matrix(self) -> Tensor:
        left, right = self.left.float(), self.right.float()
        left = left.view(*left.shape, *(1 for _ in right.shape[2:]))
        return rows_of(torch.kron(left, right), self._rows)


class Full(Delta):
    """A whole difference ΔW."""

    def __init__(self, difference: Tensor, operation: Operation) -> None:
        super().__init__()
        self.difference = _frozen(difference)
        self._operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self._operation(x, self.difference)

    def matrix(self) -> Tensor:
        return self.difference.float()


class Shift(nn.Module):
    """Adds a bias (out,) to what a ``Delta`` gives."""

    def __init__(self, bias: Tensor, operation: Operation) -> None:
        super().__init__()
        self.bias = _frozen(bias)
        self._operation = operation

    def forward(self, change: Tensor) -> Tensor:
        return change + self._operation.by_channel(self.bias)
