"""A base's modules by every name that a LoRA file may call them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from studio.architecture.families import FAMILIES
from studio.architecture.layer_names import Alias, Shapes, Slot, fused

_LAYER_NAMES = (
    *dict.fromkeys(names for family in FAMILIES for names in family.layer_names),
    fused,
)
_DENOISERS = ("unet", "transformer")
_TABLE = re.compile(r"(?:^|\.)(?:\w*embeddings?|embed_tokens|shared|relative_attention_bias)\Z")
"""Lookup tables: matrices of two dimensions that multiply nothing."""


@dataclass(frozen=True, slots=True)
class LayerTarget:
    """A layer of a file with its place in a base.

    Attributes:
        layer: ``component.name`` as the inspection of the file has it.
        component: of the base.
        slots: one; or several, where the file fuses what the base has apart (``qkv``).
    """

    layer: str
    component: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """The modules of one component that a LoRA can change: linear and convolution layers.

    Attributes:
        shapes: module, as spelled in the base's weights → shape of its weight.
        dotted: plain name (see ``plain``) → where a layer of that name goes.
        flat: the same with underscores for dots; names that two layers share are left out.
    """

    shapes: Shapes
    dotted: Mapping[str, tuple[Slot, ...]]
    flat: Mapping[str, tuple[Slot, ...]]

    @classmethod
    def of(cls, tensors: Shapes) -> "Places":
        """From tensor names and shapes, as a safetensors header has them."""
        shapes = {
            name.removesuffix(".weight"): tuple(shape)
            for name, shape in tensors.items()
            if name.endswith(".weight") and len(shape) in (2, 4)
        }
        real = {plain(name): name for name in shapes if not _TABLE.search(name)}
        dotted: dict[str, tuple[Slot, ...]] = {
            name: (Slot(module),) for name, module in real.items()
        }
        for alias, slots in aliases({name: shapes[module] for name, module in real.items()}):
            spelled = tuple(replace(slot, module=real[slot.module]) for slot in slots)
            dotted.setdefault(alias, spelled)
        return cls(shapes, dotted, _flattened(dotted))

    def find(self, name: str) -> tuple[Slot, ...]:
        """Where a layer goes that the file spells ``name``; empty if nowhere."""
        known = plain(name)
        return self.dotted.get(known) or (() if "." in name else self.flat.get(known, ()))


def aliases(modules: Shapes) -> Iterator[Alias]:
    """Every name by which tools call the layers of a component, beside diffusers' own.

    Args:
        modules: module name → shape of its weight, of one component.
    """
    for names in _LAYER_NAMES:
        yield from names(modules)


def _flattened(dotted: Mapping[str, tuple[Slot, ...]]) -> dict[str, tuple[Slot, ...]]:
    flat: dict[str, tuple[Slot, ...]] = {}
    shared: set[str] = set()
    for name, slots in dotted.items():
        key = name.replace(".", "_")
        if flat.setdefault(key, slots) != slots:
            shared.add(key)
    return {key: slots for key, slots in flat.items() if key not in shared}


def plain(name: str) -> str:
    """A module's name without what differs between releases of the libraries.

    transformers 5 drops ``text_model.`` from CLIPTextModel, older files have it, and
    CLIPTextModelWithProjection keeps it; the first diffusers LoRAs went through attention
    processors (``attn1.processor.to_q_lora``).
    """
    name = name.removeprefix("text_model.").removeprefix("text_model_")
    if ".processor.to_" in name:
        name = name.replace(".processor.", ".")
        name = name + ".0" if name.endswith(".to_out") else name
    return name


def component_of(name: str, places: Mapping[str, Places]) -> str:
    """The base's component for one of a file.

    The denoiser where the file does not say which kind it is for; FLUX.1's T5, which kohya
    numbers 3 as in Stable Diffusion 3.
    """
    if name in places:
        return name
    if name == "denoiser":
        return next((known for known in _DENOISERS if known in places), name)
    second = places.get("text_encoder_2")
    if (
        name == "text_encoder_3"
        and second
        and second.find("encoder.block.0.layer.0.SelfAttention.q")
    ):
        return "text_encoder_2"
    return name
