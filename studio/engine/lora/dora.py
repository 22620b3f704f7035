"""DoRA: the changed weight is scaled to magnitudes that the file holds.

W' = m · (W + s·ΔW) / ‖W + s·ΔW‖, with one magnitude for each output (peft, and LyCORIS with
``wd_on_out``) or for each input (LyCORIS before that). What the studio adds is W' − W, times
the strength: strength 0 is the base to the bit, 1 is what was trained, and two LoRAs add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studio.engine.base.offload import kept_weight
from studio.engine.lora.deltas import Delta

_SMALLEST = torch.finfo(torch.float32).eps


class Decomposed(Delta):
    """x ↦ (W' − W)·x (+ bias) for one module.

    Args:
        inner: ΔW, without a bias.
        scale: s, alpha / rank.
        ratio: m / ‖W + s·ΔW‖, one number per output or per input, in float32: it is close
            to 1, and what counts is how far it is from it.
        per_input: which of the two.
        base: the base's own layer; looked at, never owned.
    """

    ratio: Tensor

    def __init__(
        self,
        inner: Delta,
        scale: float,
        ratio: Tensor,
        per_input: bool,
        base: nn.Module,
        bias: Tensor | None = None,
    ) -> None:
        super().__init__(inner.site, bias, ratio=ratio)
        self.inner = inner
        self.dtype = inner.dtype
        self._scale = scale
        self._per_input = per_input
        self._base = (base,)  # in a tuple: as an attribute it would be registered as a part

    @property
    def acts(self) -> bool:
        """It may: magnitudes of their own change the weight even where ΔW is nothing."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        weight = weight_of(self._base[0]).to(x.device)
        ratio = self.site.by_channel(self.ratio).to(x.dtype)
        change = self.site.by_channel(self.ratio - 1).to(x.dtype)
        if self._per_input:
            changed = self.inner(x * ratio) * self._scale
            return self._with_bias(changed + self.site(x * change, weight))
        changed = self.inner(x) * self._scale
        return self._with_bias(changed * ratio + self.site(x, weight) * change)

    def matrix(self) -> Tensor:
        weight = weight_of(self._base[0]).float()
        axis = 1 if self._per_input else 0
        ratio = _along(self.ratio.float(), axis, weight.ndim)
        return ratio * (weight + self._scale * self.inner.matrix().to(weight.device)) - weight


def weight_of(layer: nn.Module) -> Tensor:
    """The weight of a base's linear or convolution layer."""
    return kept_weight(layer, "weight")


def ratios(
    magnitude: Tensor,
    per_input: bool,
    scale: float,
    parts: Sequence[tuple[nn.Module, Delta, Tensor]],
) -> list[Tensor]:
    """m / ‖W + s·ΔW‖ for each module that one layer of the file changes.

    Args:
        magnitude: m, float32, (inputs,) for ``per_input``; else unused.
        parts: each module with its ΔW and its own m, (outputs,).
    """
    changed = [
        weight_of(base).float() + scale * delta.matrix().to(weight_of(base).device)
        for base, delta, _ in parts
    ]
    if per_input:
        # The norm runs over all outputs of the layer, whatever modules have them.
        squares = sum(_norm(weight, 1).square() for weight in changed)
        assert isinstance(squares, Tensor)
        return [magnitude.to(squares.device) / (squares.sqrt() + _SMALLEST) for _ in parts]
    return [
        own.to(weight.device) / (_norm(weight, 0) + _SMALLEST)
        for weight, (_, _, own) in zip(changed, parts, strict=True)
    ]


def _norm(weight: Tensor, axis: int) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(weight.transpose(0, axis).flatten(1), dim=1)
    return norm


def _along(vector: Tensor, axis: int, ndim: int) -> Tensor:
    return vector.view([-1 if index == axis else 1 for index in range(ndim)])
