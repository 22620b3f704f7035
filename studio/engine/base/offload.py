"""Weights that are not kept on the device: accelerate's hooks, set, looked through and asked.

Hooks change where a weight is, never its value. LoRA layers put in later carry no hooks of
their own: with whole models they move along, with single layers they stay on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from studio.contract.placement import Offload
from studio.engine.base.folder import Pipeline

_LINE = 64
"""Bytes of a cache line, by which kernels look at where their numbers begin."""


def place_pipeline(pipeline: Pipeline, device: torch.device, offload: Offload) -> None:
    """Bring a pipeline that is in main memory to where its weights are to be."""
    if offload is Offload.MODEL:
        pipeline.enable_model_cpu_offload(device=device)
    elif offload is Offload.SEQUENTIAL:
        _offload_layers(pipeline, device)
    else:
        pipeline.to(device)


def take_in(pipeline: Pipeline) -> None:
    """Copy the weights of a pipeline in main memory to memory of its own, each in its turn.

    What is loaded in the dtype that it is stored in is the file itself, mapped: a file that is
    written in place would change a base that was proven, and one that is cut off would end the
    process at its next step.
    """
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            for tensor in (*part.parameters(), *part.buffers()):
                tensor.data = _copied(tensor.data)


def _copied(tensor: Tensor) -> Tensor:
    """A copy that lies at the same remainder of a cache line as the original.

    Kernels choose their order of sums by it: a copy that lies otherwise makes other last bits than
    diffusers' own call with the same file.
    """
    size = tensor.numel() * tensor.element_size()
    room = torch.empty(size + _LINE, dtype=torch.uint8)
    start = (tensor.data_ptr() - room.data_ptr()) % _LINE
    if not tensor.is_contiguous() or start % tensor.element_size():
        return tensor.clone()
    copy = room[start : start + size].view(tensor.dtype).view(tensor.shape)
    return copy.copy_(tensor)


def _offload_layers(pipeline: Pipeline, device: torch.device) -> None:
    """What diffusers' ``enable_sequential_cpu_offload`` does, which gives the CPU an index
    that accelerate cannot work with."""
    from accelerate import cpu_offload

    for name, part in pipeline.components.items():
        if not isinstance(part, nn.Module):
            continue
        if name in pipeline._exclude_from_cpu_offload:
            part.to(device)
        else:
            # Buffers too, where a model has weights of its own beside its layers'.
            cpu_offload(part, device, offload_buffers=bool(part._parameters))


def placed(pipeline: Pipeline) -> Offload:
    """How a pipeline's weights are placed, as its hooks say."""
    if getattr(pipeline, "_all_hooks", None):
        return Offload.MODEL
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    return Offload.SEQUENTIAL if any(hasattr(part, "_hf_hook") for part in parts) else Offload.NONE


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes, wherever its weights are between its calls."""
    if hasattr(model, "_hf_hook"):
        for module in model.modules():
            for hook in _hooks(module):
                device = getattr(hook, "execution_device", None)
                if device is not None:
                    return torch.device(device)
    return next(model.parameters()).device


def kept_weight(module: nn.Module, name: str) -> Tensor:
    """A weight or buffer of the module, wherever it is kept between its calls.

    Raises:
        KeyError: it is on torch's meta device, and no hook keeps it.
    """
    weight = getattr(module, name)
    assert isinstance(weight, Tensor)
    if not weight.is_meta:
        return weight
    for hook in _hooks(module):
        kept = getattr(hook, "weights_map", None)
        if kept is not None:
            found: Tensor = kept[name]
            return found
    raise KeyError(name)


def device_bytes(pipeline: Pipeline, offload: Offload) -> int:
    """Most bytes of the base's own weights that are on the device at one time."""
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    whole = [_size(part) for part in parts]
    if offload is Offload.NONE:
        return sum(whole)
    if offload is Offload.MODEL:
        return max(whole, default=0)
    return max((_own_size(module) for part in parts for module in part.modules()), default=0)


def _size(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def _own_size(module: nn.Module) -> int:
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return sum(tensor.nbytes for tensor in own)


def _hooks(module: nn.Module) -> Iterator[Any]:
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        # accelerate chains several hooks of one module in a SequentialHook.
        yield from getattr(hook, "hooks", (hook,))
