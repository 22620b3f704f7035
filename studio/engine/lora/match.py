"""The gate before a LoRA is applied: its layers against the base's own modules and widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from studio.architecture.layer_names import Rows
from studio.engine.base.folder import Pipeline, components_of
from studio.engine.lora.deltas import shape_of
from studio.engine.lora.read import LoraFile, LoraLayer
from studio.engine.lora.slot import is_slot, modules_of
from studio.errors import LoraRefused
from studio.inspection.fit import Fit, check_fit

_WAY_OUT = "Choose a LoRA made for this base, or the base this LoRA was made for."


@dataclass(frozen=True, slots=True)
class Target:
    """A layer of the file and one module of the base that it changes.

    Attributes:
        module: the module's real name inside its component.
        rows: of the layer's output, which are this module's; empty means all.
        base: the module itself, slots looked through.
    """

    component: str
    module: str
    rows: Rows
    layer: LoraLayer = field(repr=False)
    base: nn.Module = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.component}.{self.module}"


def base_modules(component: nn.Module) -> dict[str, nn.Module]:
    """Every linear and convolution layer of the base by name, slots looked through.

    Subclasses are left out: they compute otherwise (quantised ones, for example).
    """
    found: dict[str, nn.Module] = {}
    for name, module in modules_of(component):
        layer = module.base if is_slot(module) else module
        plain_convolution = type(layer) is nn.Conv2d and layer.groups == 1
        if type(layer) is nn.Linear or plain_convolution:
            found[name] = layer
    return found


def fit_to_base(
    file: LoraFile,
    pipeline: Pipeline,
    architecture: str | None = None,
    waived: frozenset[str] = frozenset(),
) -> tuple[Target, ...]:
    """Each layer's own modules, when every single one has its place and its widths.

    Args:
        architecture: the base's, to be held against the verdict on the file.
        waived: layers that the plan says have no place; exactly those may be without.

    Raises:
        LoraRefused: with both sides of the evidence; nothing has been touched.
    """
    modules = {
        component: base_modules(model) for component, model in components_of(pipeline).items()
    }
    shapes = {component: _shapes(found) for component, found in modules.items()}
    fit = check_fit(file.inspection, shapes, architecture=architecture)
    _demand(file, fit, waived)
    return tuple(
        Target(
            placement.component,
            slot.module,
            slot.rows,
            file.layers[placement.layer],
            modules[placement.component][slot.module],
        )
        for placement in fit.placements
        for slot in placement.slots
    )


def _shapes(modules: Mapping[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape_of(module) for name, module in modules.items()}


def _demand(file: LoraFile, fit: Fit, waived: frozenset[str]) -> None:
    slug = file.slug
    if fit.foreign:
        raise LoraRefused(slug, (*file.inspection.evidence[:1], *fit.evidence), _WAY_OUT)
    if fit.doubled or not fit.placements or (fit.unplaced and not waived):
        raise LoraRefused(slug, fit.evidence, _WAY_OUT)
    if fit.unplaced != waived:
        strange = sorted(fit.unplaced ^ waived)
        text = f"What has no place in this base is not what the plan waives: {strange[0]}."
        raise LoraRefused(slug, (text, *fit.evidence), "Resolve the request again.")
