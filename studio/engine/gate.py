"""The gate before a LoRA is loaded: its layers against the base's own modules and widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from studio.engine.folder import Pipeline
from studio.engine.lora_file import LoraFile, LoraLayer
from studio.errors import LoraRefused

_WAY_OUT = "Choose a LoRA made for this base, or the base this LoRA was made for."
_NOT_THE_BASE = (".base_layer", ".lora_")


@dataclass(frozen=True, slots=True)
class Target:
    """A layer of the file and the base's module it belongs to.

    Attributes:
        module: the module's real name inside its component.
        down, up: the weights that must be found there after the load, on the CPU.
        scale: alpha / rank; times the strength, the effective scale.
    """

    component: str
    module: str
    down: torch.Tensor = field(repr=False)
    up: torch.Tensor = field(repr=False)
    scale: float


def base_modules(component: nn.Module) -> dict[str, nn.Module]:
    """Every linear and convolution layer of the base by name, LoRA wrappers looked through."""
    found: dict[str, nn.Module] = {}
    for name, module in component.named_modules():
        if any(mark in f".{name}" for mark in _NOT_THE_BASE):
            continue
        layer = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found[name] = layer
    return found


def fit_to_base(file: LoraFile, pipeline: Pipeline) -> tuple[Target, ...]:
    """Each layer's own module, when every single one has its place and its widths.

    Raises:
        LoraRefused: with both sides of the evidence; nothing has been loaded.
    """
    targets: list[Target] = []
    evidence: list[str] = []
    for component in sorted({layer.component for layer in file.layers}):
        modules = base_modules(getattr(pipeline, component))
        names = _names(modules, file.kohya, component)
        for layer in file.layers:
            if layer.component == component:
                name = names.get(layer.module)
                problem = _problem(layer, modules[name] if name else None)
                if problem or name is None:
                    evidence.append(problem)
                else:
                    targets.append(Target(component, name, layer.down, layer.up, layer.scale))
    evidence.extend(_doubled(targets))
    if evidence:
        shown = evidence[:3]
        if len(evidence) > len(shown):
            shown.append(f"{len(evidence) - len(shown)} more of {len(file.layers)} layers differ.")
        raise LoraRefused(file.slug, tuple(shown), _WAY_OUT)
    return tuple(targets)


def _names(modules: Mapping[str, nn.Module], kohya: bool, component: str) -> dict[str, str]:
    """A layer's name as a file may spell it → the module's real name.

    Text encoders lost their ``text_model.`` level in transformers 5; files keep it.
    """
    spelled: dict[str, str] = {}
    for name in modules:
        spellings = [name]
        if component.startswith("text_encoder"):
            bare = name.removeprefix("text_model.")
            spellings = [bare, f"text_model.{bare}"]
        for spelling in spellings:
            spelled[spelling.replace(".", "_") if kohya else spelling] = name
    return spelled


def _problem(layer: LoraLayer, module: nn.Module | None) -> str:
    """Why the layer does not fit, or an empty string."""
    where = f"{layer.component}.{layer.module}"
    if module is None:
        return f"The file changes {where}, which the base does not have."
    expected = _shapes(module, layer.rank)
    found = (tuple(layer.down.shape), tuple(layer.up.shape))
    if found != expected:
        return (
            f"{where}: the file has {found[0]} and {found[1]}, "
            f"the base needs {expected[0]} and {expected[1]}."
        )
    return ""


def _shapes(module: nn.Module, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes peft gives (A, B) for ``module`` at ``rank``."""
    if isinstance(module, nn.Conv2d):
        inputs = module.in_channels // module.groups
        return (rank, inputs, *module.kernel_size), (module.out_channels, rank, 1, 1)
    assert isinstance(module, nn.Linear)  # base_modules lists no other kind
    return (rank, module.in_features), (module.out_features, rank)


def _doubled(targets: list[Target]) -> list[str]:
    places = [(target.component, target.module) for target in targets]
    twice = sorted({place for place in places if places.count(place) > 1})
    return [f"Two layers of the file change {name} of the {part}." for part, name in twice]
