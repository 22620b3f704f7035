"""The LoRA layers inside a pipeline: switched, read back and removed, module by module.

diffusers' and peft's own helpers act on one component, or say nothing when a name is
missing; what is read here is what the next forward pass computes with.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from studio.engine.folder import Pipeline
from studio.engine.gate import Target
from studio.engine.raw import raw_bytes

Place = tuple[str, str, str]
"""(component, module, adapter name)."""


def components_of(pipeline: Pipeline) -> dict[str, nn.Module]:
    """The parts of the pipeline that LoRAs can change, by name."""
    names: Sequence[str] = pipeline._lora_loadable_modules
    found = {name: getattr(pipeline, name, None) for name in names}
    return {name: part for name, part in found.items() if part is not None}


def lora_layers(pipeline: Pipeline) -> Iterator[tuple[str, str, LoraLayer]]:
    """(component, module name, layer) of every wrapped module."""
    for component, model in components_of(pipeline).items():
        for name, module in model.named_modules():
            if isinstance(module, LoraLayer):
                yield component, name, module


def activate(pipeline: Pipeline, strengths: Mapping[str, float]) -> None:
    """Make exactly these adapters (name → strength) active everywhere; empty means none.

    A module that none of them touches is disabled, so that it runs the base's own layer.
    """
    for _, _, layer in lora_layers(pipeline):
        here = [name for name in strengths if name in layer.lora_A]
        layer.enable_adapters(bool(here))
        layer.set_adapter(here, inference_mode=True)
        for name in here:
            layer.set_scale(name, strengths[name])


def read_active(pipeline: Pipeline) -> dict[Place, float]:
    """Where which adapter is at work, with its effective scale, as the modules hold it."""
    found: dict[Place, float] = {}
    for component, module, layer in lora_layers(pipeline):
        if layer.disable_adapters:
            continue
        for name in layer.active_adapters:
            if name in layer.lora_A:
                found[component, module, name] = float(layer.scaling[name])
    return found


def differences(found: Mapping[Place, float], wanted: Mapping[Place, float]) -> tuple[str, ...]:
    """What of ``wanted`` is not so in the pipeline, in sentences; empty when all is."""
    lines = [f"{c}.{m} has no LoRA." for c, m, n in sorted(wanted.keys() - found.keys())]
    lines += [f"{c}.{m} has a LoRA too many." for c, m, n in sorted(found.keys() - wanted.keys())]
    for place in sorted(found.keys() & wanted.keys()):
        # Both sides multiply the same three numbers, perhaps in another order.
        if not math.isclose(found[place], wanted[place], rel_tol=1e-9, abs_tol=1e-12):
            lines.append(
                f"{place[0]}.{place[1]} has scale {found[place]:g} instead of {wanted[place]:g}."
            )
    return tuple(lines)


def check_weights(pipeline: Pipeline, name: str, targets: Sequence[Target]) -> tuple[str, ...]:
    """Compare what is injected as ``name`` with the file: places, shapes, weights, scale."""
    layers = {(c, m): layer for c, m, layer in lora_layers(pipeline) if name in layer.lora_A}
    wanted = {(target.component, target.module): target for target in targets}
    lines = [f"{c}.{m} was not injected." for c, m in sorted(wanted.keys() - layers.keys())]
    lines += [f"{c}.{m} was injected too." for c, m in sorted(layers.keys() - wanted.keys())]
    for place in sorted(wanted.keys() & layers.keys()):
        problem = _compare(layers[place], name, wanted[place])
        if problem:
            lines.append(f"{place[0]}.{place[1]}: {problem}")
    return tuple(lines)


def _compare(layer: LoraLayer, name: str, target: Target) -> str:
    for matrix, expected in ((layer.lora_A[name], target.down), (layer.lora_B[name], target.up)):
        weight = matrix.weight.detach()
        if weight.shape != expected.shape:
            return f"its shape is {tuple(weight.shape)}, not {tuple(expected.shape)}."
        if not torch.equal(weight, expected.to(weight.device, weight.dtype)):
            return "its weights are not the file's."
    if not math.isclose(layer.scaling[name], target.scale, rel_tol=1e-9):
        return f"its scale is {layer.scaling[name]:g}, the file says {target.scale:g}."
    if name in layer.lora_variant or layer.lora_bias.get(name):
        return "it is no plain LoRA layer."
    return ""


def settle(pipeline: Pipeline, name: str, dtype: torch.dtype) -> int:
    """Bring a new adapter to the base's dtype and to evaluation mode; returns its bytes.

    New dropout layers start in training mode, and weights may come in the file's dtype.
    """
    size = 0
    for _, _, layer in lora_layers(pipeline):
        if name in layer.lora_A:
            for part in (layer.lora_A[name], layer.lora_B[name]):
                part.to(dtype).requires_grad_(False)
                for weight in part.parameters():
                    # The loader may leave it mapped to the file; a file that is overwritten
                    # later would change it, or end the process.
                    weight.data = weight.data.clone()
                    size += weight.nbytes
    for model in components_of(pipeline).values():
        model.eval()
    return size


def digest(pipeline: Pipeline, name: str) -> str:
    """SHA-256 over the adapter's weights as they are resident."""
    total = hashlib.sha256()
    for component, module, layer in lora_layers(pipeline):
        if name in layer.lora_A:
            total.update(f"{component}.{module}".encode())
            for part in (layer.lora_A[name], layer.lora_B[name]):
                total.update(raw_bytes(part.weight))
    return total.hexdigest()


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
        configs = getattr(model, "peft_config", None)
        if configs is not None:
            configs.pop(name, None)
            if not configs:
                del model.peft_config
                # Both libraries read this as "no adapters"; torch types no plain attributes.
                setattr(model, "_hf_peft_config_loaded", False)  # noqa: B010


def _unwrap_empty(model: nn.Module) -> None:
    wrapped = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and not module.lora_A
    ]
    for name, module in wrapped:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())


def state_token(pipeline: Pipeline) -> tuple[object, ...]:
    """Changes whenever a LoRA is loaded, removed, switched, scaled or merged, or a weight of
    the denoiser or a text encoder is replaced or written in place.

    Tensors are known by address and version counter; ``.data`` writes escape the counter,
    but the only code that makes them is peft's merge, and merged adapters are listed here.
    """
    layers = tuple(
        (
            id(layer),
            layer.disable_adapters,
            tuple((name, layer.scaling.get(name)) for name in layer.active_adapters),
            tuple(layer.merged_adapters),
        )
        for _, _, layer in lora_layers(pipeline)
    )
    weights = tuple(
        (weight.data_ptr(), weight._version)
        for model in components_of(pipeline).values()
        for weight in (*model.parameters(), *model.buffers())
    )
    return layers, weights
