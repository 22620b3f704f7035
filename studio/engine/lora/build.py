"""A file's layers → what goes into the base's modules, built on the CPU and checked there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from studio.engine.base.offload import kept_weight
from studio.engine.lora.deltas import BUILDERS, BaseModule, Delta
from studio.engine.lora.match import Target
from studio.engine.lora.read import WAY_OUT, LoraLayer
from studio.errors import LoraRefused

_SMALLEST = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True)
class Built:
    """What goes into one module of the base.

    Attributes:
        scale: what ``delta``'s output is multiplied by at strength 1.
        weights: a copy of every tensor of ``delta``, on the CPU, to be read back.
    """

    component: str
    module: str
    delta: Delta = field(repr=False)
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
        built = _build_layer(group[0].layer, group, dtype)
        if not all(_is_finite(part) for item in built for part in item.weights):
            shown = str(dtype).removeprefix("torch.")
            text = f"{name} has weights that are not finite numbers in {shown}."
            raise LoraRefused(slug, (text,), WAY_OUT)
        made.extend(built)
    if not any(item.delta.acts for item in made):
        text = "Every layer multiplies to zero: it changes nothing."
        raise LoraRefused(slug, (text,), "Fetch it again, or train it for longer.")
    return tuple(made)


def _is_finite(weights: Tensor) -> bool:
    """By the extremes, which are NaN where any weight is: an order faster than ``isfinite``."""
    low, high = torch.aminmax(weights)
    return math.isfinite(low.item()) and math.isfinite(high.item())


class _Parts:
    """A layer's tensors in one dtype. Modules that share a layer share the tensors."""

    def __init__(self, layer: LoraLayer, dtype: torch.dtype) -> None:
        self._layer = layer
        self._dtype = dtype
        self._cast: dict[str, Tensor] = {}

    def __contains__(self, part: object) -> bool:
        return part in self._layer.tensors

    def __getitem__(self, part: str) -> Tensor:
        if part not in self._cast:
            self._cast[part] = self._layer.tensors[part].to(self._dtype, copy=True)
        return self._cast[part]

    def stored(self, part: str) -> Tensor:
        return self._layer.tensors[part].float()

    def cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._dtype)

    def bias(self, site: BaseModule, scale: float) -> Tensor | None:
        """The file's bias as it stands before ``scale`` multiplies it.

        peft scales its own as the matrices; a ``diff_b`` knows no alpha.
        """
        if "bias" not in self:
            return None
        bias = site.own(self.stored("bias").flatten())
        wanted = self._layer.scale if self._layer.module.bias_is_scaled else 1.0
        if wanted != scale:
            assert scale  # read_lora refuses a diff_b beside an alpha of 0
            bias = bias * wanted / scale
        return self.cast(bias)


def difference(layer: LoraLayer) -> Tensor:
    """What a layer adds to a weight at strength 1, in float32: (out, in) or (out, in, height,
    width). A DoRA's magnitudes, which need the base's weight, are left out."""
    module = layer.module
    kernel = () if module.kernel == (1, 1) else module.kernel
    shape = (module.out_features, module.in_features, *kernel)
    site = BaseModule(shape, {} if kernel else None)
    delta = BUILDERS[module.decomposition](_Parts(layer, torch.float32), site, None)
    return delta.matrix() * layer.scale


def _build_layer(layer: LoraLayer, targets: Sequence[Target], dtype: torch.dtype) -> list[Built]:
    """The same ΔW for each module that has rows of it."""
    parts = _Parts(layer, dtype)
    make = BUILDERS[layer.module.decomposition]
    sites = [BaseModule.of(target.base, target.rows) for target in targets]
    if not layer.module.dora:
        return [
            _built(target, make(parts, site, parts.bias(site, layer.scale)), layer.scale)
            for target, site in zip(targets, sites, strict=True)
        ]
    magnitude = layer.tensors["dora"]
    of_inputs = layer.module.magnitudes_of_inputs(tuple(magnitude.shape))
    assert of_inputs is not None  # read_lora refuses what fits no axis
    flat = magnitude.float().flatten()
    deltas = [make(parts, site, None) for site in sites]
    own = [flat if of_inputs else site.own(flat) for site in sites]
    bases = [target.base for target in targets]
    found = ratios(flat, of_inputs, layer.scale, list(zip(bases, deltas, own, strict=True)))
    return [
        _built(
            target,
            Decomposed(
                delta, layer.scale, ratio.cpu(), of_inputs, target.base, parts.bias(site, 1.0)
            ),
            1.0,
        )
        for target, site, delta, ratio in zip(targets, sites, deltas, found, strict=True)
    ]


def _built(target: Target, delta: Delta, scale: float) -> Built:
    weights = tuple(part.detach() for part in delta.parameters())
    return Built(target.component, target.module, delta, scale, weights)


class Decomposed(Delta):
    """DoRA: x ↦ (W' − W)·x (+ bias) for one module.

    W' = m · (W + s·ΔW) / ‖W + s·ΔW‖, with one magnitude for each output (peft, and LyCORIS with
    ``wd_on_out``) or for each input (LyCORIS before that). Only the difference is added, so
    strength 0 is the base to the bit, 1 is what was trained, and two LoRAs add up.

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
