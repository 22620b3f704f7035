"""The LoRA layers inside a pipeline: put in, switched, read back and taken out, module by module.

They are peft's own layers around the base's modules, but put there one by one: diffusers' and
peft's helpers act on one component, go by name patterns, or say nothing when a name is
missing. What is read here is what the next forward pass computes with.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from studio.engine.base.components import components_of
from studio.engine.base.folder import Pipeline
from studio.engine.lora.build import Built
from studio.engine.lora.wrapping import enter, wrapped

Place = tuple[str, str, str]
"""(component, module, adapter name)."""
Layer = tuple[str, str, LoraLayer]
"""(component, module, the layer around it)."""


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module by name, a LoRA layer for the one it wraps; nothing inside LoRA layers.

    So that looking through a base costs the same, however many LoRAs are in memory.
    """
    waiting: list[tuple[str, nn.Module]] = [("", model)]
    while waiting:
        name, module = waiting.pop()
        yield name, module
        if not is_lora_layer(module):
            prefix = f"{name}." if name else ""
            # Their dictionary itself: named_children would look for repeated ones each time.
            for child, part in reversed(module._modules.items()):
                if part is not None:
                    waiting.append((prefix + child, part))


def is_lora_layer(module: nn.Module) -> TypeGuard[LoraLayer]:
    """Whether it wraps a module of the base; ``isinstance`` would take most of a look through a
    base, since peft's class is abstract."""
    return LoraLayer in type(module).__mro__


def lora_layers(pipeline: Pipeline) -> Iterator[Layer]:
    """Every wrapped module."""
    for component, model in components_of(pipeline).items():
        for name, module in modules_of(model):
            if is_lora_layer(module):
                yield component, name, module


def activate(layers: Iterable[Layer], strengths: Mapping[str, float]) -> None:
    """Make exactly these adapters (name → strength) active everywhere; empty means none.

    A module that none of them touches is disabled, so that it runs the base's own layer.

    Args:
        layers: all of a pipeline's.
    """
    for _, _, layer in layers:
        here = [name for name in strengths if name in layer.lora_A]
        # What peft's set_adapter and enable_adapters set; they would also go through every
        # resident adapter's weights, to say again that none of them is trained.
        if layer._active_adapter != here or layer._disable_adapters is bool(here):
            layer._active_adapter = here
            layer._disable_adapters = not here
        for name in here:
            layer.set_scale(name, strengths[name])


def read_active(layers: Iterable[Layer]) -> dict[Place, float]:
    """Where which adapter is at work, with its effective scale, as the modules hold it.

    Args:
        layers: all of a pipeline's.
    """
    found: dict[Place, float] = {}
    for component, module, layer in layers:
        if layer.disable_adapters:
            continue
        held = layer.lora_A._modules
        for name in layer.active_adapters:
            if name in held:
                found[component, module, name] = float(layer.scaling[name])
    return found


def same(found: Mapping[Place, float], wanted: Mapping[Place, float]) -> bool:
    """Whether exactly what is wanted is at work, each with its scale."""
    return found.keys() == wanted.keys() and all(
        _equal(scale, found[place]) for place, scale in wanted.items()
    )


def _equal(one: float, other: float) -> bool:
    """Of two scales that multiply the same three numbers, perhaps in another order."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def differences(found: Mapping[Place, float], wanted: Mapping[Place, float]) -> tuple[str, ...]:
    """What of ``wanted`` is not so in the pipeline, in sentences; empty when all is."""
    lines = [f"{c}.{m} has no LoRA." for c, m, n in sorted(wanted.keys() - found.keys())]
    lines += [f"{c}.{m} has a LoRA too many." for c, m, n in sorted(found.keys() - wanted.keys())]
    for place in sorted(found.keys() & wanted.keys()):
        if not _equal(found[place], wanted[place]):
            lines.append(
                f"{place[0]}.{place[1]} has scale {found[place]:g} instead of {wanted[place]:g}."
            )
    return tuple(lines)


def inject(pipeline: Pipeline, name: str, layers: Sequence[Built], device: torch.device) -> int:
    """Put ``layers`` into the base's modules as the adapter ``name``, switched off.

    Nothing of the pipeline is touched until all weights are on the device; then only
    attributes are set.

    Returns:
        Bytes of the adapter's weights.
    """
    moved: dict[int, torch.Tensor] = {}
    for built in layers:
        for module in (built.down, built.up):
            for weight in module.parameters():
                known = weight.data_ptr()
                # Parts of a fused layer share a tensor, and go on sharing it.
                if known not in moved:
                    moved[known] = weight.data.to(device, copy=True)
                weight.data = moved[known]
    models = components_of(pipeline)
    for built in layers:
        enter(wrapped(models[built.component], built.module), name, built)
    return sum(weight.nbytes for weight in moved.values())


def parts_of(layer: LoraLayer, name: str) -> tuple[torch.Tensor, ...]:
    """The adapter's weights in one layer, in a fixed order."""
    modules = (layer.lora_A._modules[name], layer.lora_B._modules[name])
    return tuple(weight for module in modules for weight in _weights(module))


def _weights(module: nn.Module) -> Iterable[torch.Tensor]:
    """As ``parameters``, which takes its time even where there is nothing inside."""
    if module._modules:
        return module.parameters()
    return (weight for weight in module._parameters.values() if weight is not None)


def check_weights(pipeline: Pipeline, name: str, layers: Sequence[Built]) -> tuple[str, ...]:
    """Compare what is injected as ``name`` with what was built: places, weights, scale."""
    found = {(c, m): layer for c, m, layer in lora_layers(pipeline) if name in layer.lora_A}
    wanted = {(built.component, built.module): built for built in layers}
    lines = [f"{c}.{m} was not injected." for c, m in sorted(wanted.keys() - found.keys())]
    lines += [f"{c}.{m} was injected too." for c, m in sorted(found.keys() - wanted.keys())]
    for place in sorted(wanted.keys() & found.keys()):
        problem = _compare(found[place], name, wanted[place])
        if problem:
            lines.append(f"{place[0]}.{place[1]}: {problem}")
    return tuple(lines)


def _compare(layer: LoraLayer, name: str, built: Built) -> str:
    parts = parts_of(layer, name)
    if len(parts) != len(built.weights):
        return f"it has {len(parts)} tensors, not {len(built.weights)}."
    for part, expected in zip(parts, built.weights, strict=True):
        if part.shape != expected.shape or not torch.equal(part.detach().cpu(), expected):
            return "its weights are not the file's."
    if layer.scaling[name] != built.scale:
        return f"its scale is {layer.scaling[name]:g}, the file says {built.scale:g}."
    return ""


def remove(pipeline: Pipeline, name: str) -> None:
    """Take the adapter out, wherever it is, and unwrap modules that carry none any more."""
    for model in components_of(pipeline).values():
        with warnings.catch_warnings():
            # peft says which adapter it makes active instead; the next run sets them all.
            warnings.simplefilter("ignore")
            for layer in model.modules():
                if isinstance(layer, BaseTunerLayer):
                    layer.delete_adapter(name)
        _unwrap_empty(model)


def _unwrap_empty(model: nn.Module) -> None:
    wrapped = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and not module.lora_A
    ]
    for name, module in wrapped:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())
