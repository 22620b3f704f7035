"""What a pipeline's output depends on, as short digests: equal digests, equal state.

Tensors are known by address and version counter, which every write in place raises; ``.data``
writes escape the counter, but the only code that makes them is peft's merge, and merged
adapters are listed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from studio.engine.components import components_of
from studio.engine.folder import Pipeline
from studio.engine.injected import lora_layers, modules_of, parts_of
from studio.engine.offload import kept_weight


def base_state(pipeline: Pipeline) -> str:
    """Changes when a weight of the denoiser or a text encoder is replaced or written, or a
    LoRA is merged into one. LoRAs that come, go or are switched do not change it."""
    merged = [tuple(layer.merged_adapters) for _, _, layer in lora_layers(pipeline)]
    return _digest(_known(_base_weights(pipeline)), [each for each in merged if each])


def lora_state(pipeline: Pipeline) -> str:
    """Changes when another set of LoRAs is at work, at other scales or with other weights."""
    at_work = [
        (component, module, name, layer.scaling[name], *_known(parts_of(layer, name)))
        for component, module, layer in lora_layers(pipeline)
        if not layer.disable_adapters
        for name in layer.active_adapters
        if name in layer.lora_A
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


def _base_weights(pipeline: Pipeline) -> Iterator[Tensor]:
    for model in components_of(pipeline).values():
        for _, module in modules_of(model):
            base = module.get_base_layer() if isinstance(module, LoraLayer) else module
            yield from _own(base)


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
