"""The LoRA layer: it takes the place of one module of the base, and switches what is added there.

What is read from the slots of a pipeline is what its next forward pass computes with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeGuard, cast

from torch import Tensor, nn

from studio.engine.base.folder import Pipeline, components_of
from studio.engine.lora.deltas import Delta
from studio.errors import ContractBroken


class LoraSlot(nn.Module):
    """W·x + Σ strength · scale · ΔW·x over the LoRAs that are on, in the dtype of W·x.

    Strength 0 adds nothing, so that its output is the base's to the bit.

    Attributes:
        base: the module that was here; its weights are never written.
        deltas: ΔW of each resident LoRA by its name.
        scales: of each resident LoRA, as its file says it.
        strengths: of the LoRAs that are on, in the order in which they are added.
    """

    base: nn.Linear | nn.Conv2d
    deltas: nn.ModuleDict

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        self.deltas = nn.ModuleDict()
        self.scales: dict[str, float] = {}
        self.strengths: dict[str, float] = {}
        self.train(base.training)
        for name in base.__constants__:
            # Models ask their layers for their widths.
            setattr(self, name, getattr(base, name))

    @property
    def weight(self) -> Tensor:
        """The base's, whose dtype and device models ask for."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        """The base's."""
        return self.base.bias

    def delta(self, name: str) -> Delta:
        return cast(Delta, self.deltas._modules[name])

    def added(self, name: str, x: Tensor) -> Tensor:
        """ΔW·x of one LoRA, before its scale and strength."""
        delta = self.delta(name)
        added: Tensor = delta(x if x.dtype == delta.dtype else x.to(delta.dtype))
        return added

    def forward(self, x: Tensor, *args: object) -> Tensor:
        result: Tensor = self.base(x, *args)
        dtype = result.dtype
        for name, strength in self.strengths.items():
            if strength:
                result = result + self.added(name, x) * (strength * self.scales[name])
        return result if result.dtype == dtype else result.to(dtype)


class LoraPlace(NamedTuple):
    """One LoRA in one module of a pipeline."""

    component: str
    module: str
    lora: str


class Multiplier(NamedTuple):
    """What a LoRA's ΔW is multiplied by in one module."""

    strength: float
    scale: float

    @property
    def effective(self) -> float:
        return self.strength * self.scale


class FoundSlot(NamedTuple):
    """A slot of a pipeline."""

    component: str
    module: str
    slot: LoraSlot


def is_slot(module: nn.Module | None) -> TypeGuard[LoraSlot]:
    return type(module) is LoraSlot


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module by name, a slot for the module in it; nothing inside slots.

    So that looking through a base costs the same, however many LoRAs are in memory.
    """
    waiting: list[tuple[str, nn.Module]] = [("", model)]
    while waiting:
        name, module = waiting.pop()
        yield name, module
        if not is_slot(module):
            prefix = f"{name}." if name else ""
            # Their dictionary itself: named_children would look for repeated ones each time.
            for child, part in reversed(module._modules.items()):
                if part is not None:
                    waiting.append((prefix + child, part))


def slots_of(pipeline: Pipeline) -> Iterator[FoundSlot]:
    """Every slot."""
    for component, model in components_of(pipeline).items():
        for name, module in modules_of(model):
            if is_slot(module):
                yield FoundSlot(component, name, module)


def slot_at(model: nn.Module, name: str) -> LoraSlot:
    """The slot of that name; a plain module is put into one, which is switched off."""
    module = model.get_submodule(name)
    if is_slot(module):
        return module
    assert isinstance(module, nn.Linear | nn.Conv2d)  # the gate lets nothing else through
    slot = LoraSlot(module)
    replace_module(model, name, slot)
    return slot


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def switch_on(
    slots: Iterable[FoundSlot],
    strengths: Mapping[str, float],
    apart: Mapping[LoraPlace, float] | None = None,
) -> None:
    """Have exactly these LoRAs (name → strength) on everywhere; empty means none.

    Args:
        slots: all of a pipeline's.
        apart: where one is on at another strength.
    """
    own = apart or {}
    for component, module, slot in slots:
        slot.strengths = {
            name: own.get(LoraPlace(component, module, name), strength) if own else strength
            for name, strength in strengths.items()
            if name in slot.scales
        }


def read_switched(slots: Iterable[FoundSlot]) -> dict[LoraPlace, Multiplier]:
    """Where which LoRA is on, and how.

    Args:
        slots: all of a pipeline's.
    """
    return {
        LoraPlace(component, module, name): Multiplier(strength, slot.scales[name])
        for component, module, slot in slots
        for name, strength in slot.strengths.items()
    }


def demand(found: Mapping[LoraPlace, Multiplier], wanted: Mapping[LoraPlace, Multiplier]) -> None:
    """
    Raises:
        ContractBroken: a module holds another LoRA or another scale than was set.
    """
    if found != wanted:
        wrong = differences(found, wanted)
        raise ContractBroken(
            f"The LoRAs at work are not the plan's: {' '.join(wrong[:3])}",
            "Run it again; report it if it happens twice.",
        )


def differences(
    found: Mapping[LoraPlace, Multiplier], wanted: Mapping[LoraPlace, Multiplier]
) -> tuple[str, ...]:
    """What of ``wanted`` is not so in the pipeline, in sentences; empty when all is."""
    lines = [f"{c}.{m} has no LoRA." for c, m, _ in sorted(wanted.keys() - found.keys())]
    lines += [f"{c}.{m} has a LoRA too many." for c, m, _ in sorted(found.keys() - wanted.keys())]
    for place in sorted(found.keys() & wanted.keys()):
        held, asked = found[place].effective, wanted[place].effective
        if found[place] != wanted[place]:
            lines.append(
                f"{place.component}.{place.module} has scale {held:g} instead of {asked:g}."
            )
    return tuple(lines)
