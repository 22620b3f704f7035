"""What a pipeline's output depends on, as short digests: equal digests, equal state.

Tensors are known by address and version counter, which every write in place raises; ``.data``
writes escape the counter, but the only code that makes them is peft's merge, and merged
adapters are listed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from studio.engine.base.components import components_of
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import kept_weight
from studio.engine.lora.injected import Layer, is_lora_layer, lora_layers, modules_of, parts_of


@dataclass(frozen=True, slots=True)
class Survey:
    """One look through a pipeline, which costs most of a switch.

    Attributes:
        base: changes when a weight of the denoiser or a text encoder is replaced or written,
            or a LoRA is merged into one. LoRAs that come, go or are switched do not change it.
        layers: every LoRA layer; the same ones until a LoRA comes or goes.
    """

    base: str
    layers: tuple[Layer, ...]


def survey(pipeline: Pipeline) -> Survey:
    """The base's state and its LoRA layers, as the modules are now."""
    layers: list[Layer] = []
    known: list[tuple[int, int]] = []
    for component, model in components_of(pipeline).items():
        for name, module in modules_of(model):
            if is_lora_layer(module):
                layers.append((component, name, module))
                known += _known(_own(module.get_base_layer()))
            else:
                known += _known(_own(module))
    merged = [tuple(layer.merged_adapters) for _, _, layer in layers]
    return Survey(_digest(known, [each for each in merged if each]), tuple(layers))


def lora_state(layers: Iterable[Layer]) -> str:
    """Changes when another set of LoRAs is at work, at other scales or with other weights.

    Args:
        layers: all of a pipeline's.
    """
    at_work = [
        (component, module, name, layer.scaling[name], *_known(parts_of(layer, name)))
        for component, module, layer in layers
        if not layer.disable_adapters
        for name in layer.active_adapters
        if name in layer.lora_A._modules
    ]
    return _digest(at_work)


def adapter_state(pipeline: Pipeline, names: frozenset[str]) -> str:
    """Changes when a weight or the place of one of these adapters does."""
    return _digest(
        (component, module, name, *_known(parts_of(layer, name)))
        for component, module, layer in lora_layers(pipeline)
        for name in layer.lora_A
        if name in names
    )


def _own(module: nn.Module) -> Iterator[Tensor]:
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                yield kept_weight(module, name) if tensor.is_meta else tensor


def _known(tensors: Iterable[Tensor]) -> list[tuple[int, int]]:
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]


def _digest(*parts: Iterable[object]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(repr(list(part)).encode())
    return total.hexdigest()
