"""What a pipeline's output depends on, as short digests: equal digests, equal state.

Tensors are known by address and version counter, which every write in place raises. A write
through ``.data`` escapes the counter, and no code here makes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from studio.engine.base.folder import Pipeline, components_of
from studio.engine.base.offload import kept_weight
from studio.engine.lora.slot import Found, LoraSlot, is_slot, modules_of, slots_of


@dataclass(frozen=True, slots=True)
class Survey:
    """One look through a pipeline, which costs most of a switch.

    Attributes:
        base: changes when a weight of the denoiser or a text encoder is replaced or written.
            LoRAs that come, go or are switched do not change it.
        slots: every one; the same until a LoRA comes or goes.
    """

    base: str
    slots: tuple[Found, ...]


def survey(pipeline: Pipeline) -> Survey:
    """The base's state and its slots, as the modules are now."""
    slots: list[Found] = []
    known: list[tuple[int, int]] = []
    for component, model in components_of(pipeline).items():
        for name, module in modules_of(model):
            if is_slot(module):
                slots.append(Found(component, name, module))
                known += _known(_own(module.base))
            else:
                known += _known(_own(module))
    return Survey(_digest(known), tuple(slots))


def lora_state(slots: Iterable[Found]) -> str:
    """Changes when another set of LoRAs is at work, at other scales or with other weights.

    Args:
        slots: all of a pipeline's.
    """
    return _digest(
        (component, module, name, strength * slot.scales[name], *_known(_weights(slot, name)))
        for component, module, slot in slots
        for name, strength in slot.strengths.items()
    )


def adapter_state(pipeline: Pipeline, names: frozenset[str]) -> str:
    """Changes when a weight or the place of one of these LoRAs does."""
    return _digest(
        (component, module, name, *_known(_weights(slot, name)))
        for component, module, slot in slots_of(pipeline)
        for name in slot.scales
        if name in names
    )


def _weights(slot: LoraSlot, name: str) -> Iterable[Tensor]:
    """As ``parameters``, which takes its time even where there is nothing inside."""
    delta = slot.delta(name)
    if delta._modules:
        return delta.parameters()
    return (weight for weight in delta._parameters.values() if weight is not None)


def _own(module: nn.Module) -> Iterator[Tensor]:
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                yield kept_weight(module, name) if tensor.is_meta else tensor


def _known(tensors: Iterable[Tensor]) -> list[tuple[int, int]]:
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]


def _digest(parts: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()
