"""The LoRA layers themselves: peft's classes around one module of the base, empty at first.

They compute what peft's own ``forward`` does for what is put into them here, to the bit: nothing
merged, no dropout, no variants. peft asks for each of these in every call, which on a small base
is most of what a LoRA costs.
"""

from __future__ import annotations

from typing import Any

from peft.tuners.lora import Conv2d, Linear, LoraLayer
from torch import Tensor, nn

from studio.engine.lora.build import Built


def wrapped(model: nn.Module, name: str) -> LoraLayer:
    """The module of that name as a LoRA layer; a plain one is wrapped in place, switched off."""
    module = model.get_submodule(name)
    if isinstance(module, LoraLayer):
        return module
    kind = _EmptyConv2d if isinstance(module, nn.Conv2d) else _EmptyLinear
    wrapper = kind(module)
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, wrapper)
    return wrapper


def enter(layer: LoraLayer, name: str, built: Built) -> None:
    """What peft's ``update_layer`` does, without drawing weights that are then replaced."""
    layer.r[name] = built.rank
    layer.lora_alpha[name] = built.scale * built.rank
    layer.scaling[name] = built.scale
    layer.lora_dropout[name] = nn.Identity()
    layer.lora_A[name] = built.down
    layer.lora_B[name] = built.up
    layer.use_rslora[name] = layer.use_dora[name] = False
    layer.lora_bias[name] = getattr(built.up, "bias", None) is not None


class _Applied:
    """What both compute; peft's own ``forward`` where somebody else merged or asked for more."""

    merged_adapters: list[str]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.merged_adapters or kwargs:
            # The class beside this one in the layer's bases has it.
            theirs: Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc]
            return theirs
        return _with_adapters(self, x, *args)


class _EmptyLinear(_Applied, Linear):  # type: ignore[misc]  # peft has no types
    """Around a linear layer, without the first adapter that peft's constructor makes."""

    def __init__(self, base: nn.Module) -> None:
        _begin(self, base)
        self.fan_in_fan_out = self.is_target_conv_1d_layer = False


class _EmptyConv2d(_Applied, Conv2d):  # type: ignore[misc]
    """The same around a convolution."""

    def __init__(self, base: nn.Module) -> None:
        _begin(self, base)
        self._kernel_dim = 4
        self.conv_fn = nn.functional.conv2d


def _begin(layer: LoraLayer, base: nn.Module) -> None:
    nn.Module.__init__(layer)
    LoraLayer.__init__(layer, base)
    layer._active_adapter = []
    layer._disable_adapters = True


def _with_adapters(layer: LoraLayer, x: Tensor, *args: Any) -> Tensor:
    """W·x + Σ scaling · up(down(x)) over the active adapters, in the base's dtype."""
    parts = layer._modules
    result: Tensor = parts["base_layer"](x, *args)
    if layer._disable_adapters:
        return result
    dtype = result.dtype
    downs, ups = parts["lora_A"]._modules, parts["lora_B"]._modules
    for name in layer.active_adapters:
        down = downs.get(name)
        if down is not None:
            wanted = down.weight.dtype
            read = x if x.dtype == wanted else x.to(wanted)
            result = result + ups[name](down(read)) * layer.scaling[name]
    return result if result.dtype == dtype else result.to(dtype)
