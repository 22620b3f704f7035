"""One tiny LoRA in every file format that tools write for an architecture.

A ``TinyLora`` is what the files have in common: which module gets which ΔW. Written in two
formats it must give the same picture, to the bit where a format only renames layers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline, components_of
from studio.engine.lora.match import base_modules
from tests.support.lora_names import (
    Namer,
    by_diffusers,
    flux1_by_authors,
    flux1_by_xlabs,
    flux2_by_authors,
    sd3_by_authors,
    unet_by_authors,
    zimage_by_authors,
)

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class TinyLayer:
    """ΔW = alpha / rank · up·down of one module; ``up`` (out, rank), ``down`` (rank, in, …)."""

    down: Tensor
    up: Tensor
    alpha: float
    weight: Tensor

    @property
    def scale(self) -> float:
        return self.alpha / self.down.shape[0]

    @property
    def difference(self) -> Tensor:
        """scale · up·down in the shape of the module's weight."""
        return self.scale * (self.up @ self.down.flatten(1)).view(self.weight.shape)


TinyLora = Mapping[str, Mapping[str, TinyLayer]]
"""Component → module in diffusers → its layer."""

_FUSED = re.compile(
    r"(.*\.attn\.|transformer_blocks\.\d+\.attn2\.)(?:to_[qkv]|(add)_[qkv]_proj)"
    r"|(.*\.attention\.)to_[qkv]|(single_.*\.)proj_mlp"
)


def tiny_lora(
    pipeline: Pipeline,
    *,
    rank: int = 4,
    alpha: float = 2.0,
    seed: int = 1,
    spread: float = 0.1,
    only: str = "",
    text_encoders: bool = False,
) -> TinyLora:
    """Random layers for every linear and convolution module whose name ``only`` is found in.

    Modules that some format fuses into one layer share ``down``, so that the fused layer is
    the same to the bit; alpha / rank should be a power of two, for formats without alpha.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    made: dict[str, dict[str, TinyLayer]] = {}
    for component, model in components_of(pipeline).items():
        if component.startswith("text_encoder") and not text_encoders:
            continue
        shared: dict[str, Tensor] = {}
        for name, module in base_modules(model).items():
            weight = module.get_parameter("weight").detach()
            if not re.search(only, name):
                continue
            down = torch.randn((rank, *weight.shape[1:]), generator=generator)
            down = shared.setdefault(_family(name), down * spread)
            up = torch.randn((weight.shape[0], rank), generator=generator) * spread
            made.setdefault(component, {})[name] = TinyLayer(down, up, alpha, weight)
    return made


def _family(name: str) -> str:
    """The same for modules that some format fuses."""
    match = _FUSED.fullmatch(name)
    if match is None:
        return name
    stream = match[2] or ""
    return (match[1] or match[3] or f"{match[4]}attn.").removesuffix("attn.") + stream


def held(lora: TinyLora, format: Format) -> TinyLora:
    """What of a LoRA a format can hold."""
    kept: dict[str, Mapping[str, TinyLayer]] = {}
    for component, layers in lora.items():
        if component.startswith("text_encoder"):
            if component in format.text:
                kept[component] = layers
            continue
        inside = {name for group in format.namer(list(layers)).values() for name in group}
        if inside:
            kept[component] = {name: layers[name] for name in layers if name in inside}
    return kept


Store = Callable[[str, TinyLayer], Tensors]
"""The tensors of one layer under its stem."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a LoRA.

    Attributes:
        prefix: before a denoiser's layer.
        namer: how its layers are called.
        store: a layer's tensors.
        flat: underscores for dots (kohya).
        text: component → prefix of its layers; text encoders the format can hold.
        exact: the file's matrices are the LoRA's own, so pictures agree to the bit.
        metadata: whether alpha stands in the header (diffusers).
    """

    prefix: str
    namer: Namer
    store: Store
    flat: bool = False
    text: Mapping[str, str] = field(default_factory=dict)
    exact: bool = True
    metadata: bool = False

    def write(self, lora: TinyLora, path: Path) -> Path:
        """Write the LoRA; returns ``path``.

        Raises:
            ValueError: the format has no name for one of its layers (see ``held``).
        """
        tensors: Tensors = {}
        for component, layers in lora.items():
            tensors |= self._component(component, layers)
        metadata = {"format": "pt"}
        if self.metadata:
            metadata["lora_adapter_metadata"] = json.dumps(_settings(lora))
        save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path,
                  metadata)  # fmt: skip
        return path

    def _component(self, component: str, layers: Mapping[str, TinyLayer]) -> Tensors:
        text = component.startswith("text_encoder")
        prefix = self.text[component] if text else self.prefix
        groups = (by_diffusers if text else self.namer)(list(layers))
        if sum(map(len, groups.values())) != len(layers):
            raise ValueError(f"this format has no name for some layers of the {component}")
        tensors: Tensors = {}
        for name, group in groups.items():
            spelled = name
            if text and component != "text_encoder_2" and self.flat:
                spelled = f"text_model.{name.removeprefix('text_model.')}"
            stem = prefix + (spelled.replace(".", "_") if self.flat else spelled)
            tensors |= self.store(stem, _joined([layers[part] for part in group], (name, *group)))
        return tensors


_SWAPPED = {
    ("final_layer.adaLN_modulation.1", "norm_out.linear"),
    (
        "joint_blocks.1.context_block.adaLN_modulation.1",
        "transformer_blocks.1.norm1_context.linear",
    ),
}
"""The authors of FLUX and SD 3 have the halves (shift, scale) of these layers in the other order;
the second is the last block's in a tiny SD 3."""


def _joined(layers: Sequence[TinyLayer], called: tuple[str, ...]) -> TinyLayer:
    """Modules of one fused layer, stacked; their ``down`` is one."""
    first = layers[0]
    up = torch.cat([layer.up for layer in layers])
    weight = torch.cat([layer.weight for layer in layers])
    if called in _SWAPPED:
        up, weight = up.roll(len(up) // 2, 0), weight.roll(len(up) // 2, 0)
    return TinyLayer(first.down, up, first.alpha, weight)


def _settings(lora: TinyLora) -> dict[str, object]:
    found: dict[str, object] = {}
    for component, layers in lora.items():
        layer = next(iter(layers.values()))
        found |= {f"{component}.r": layer.down.shape[0], f"{component}.lora_alpha": layer.alpha}
    return found


def _up(layer: TinyLayer, scale: float = 1.0) -> Tensor:
    up = layer.up * scale
    return up if layer.down.ndim == 2 else up[:, :, None, None]


def lora_ab(stem: str, layer: TinyLayer) -> Tensors:
    """peft's matrices, with no place for alpha: it is in ``lora_B``."""
    return {
        f"{stem}.lora_A.weight": layer.down,
        f"{stem}.lora_B.weight": _up(layer, layer.scale),
    }


def lora_ab_plain(stem: str, layer: TinyLayer) -> Tensors:
    """peft's matrices; alpha stands elsewhere."""
    return {f"{stem}.lora_A.weight": layer.down, f"{stem}.lora_B.weight": _up(layer)}


def down_up(stem: str, layer: TinyLayer) -> Tensors:
    """kohya's three tensors."""
    return {
        f"{stem}.lora_down.weight": layer.down,
        f"{stem}.lora_up.weight": _up(layer),
        f"{stem}.alpha": torch.tensor(layer.alpha),
    }


def xlabs(stem: str, layer: TinyLayer) -> Tensors:
    return {f"{stem}.down.weight": layer.down, f"{stem}.up.weight": _up(layer, layer.scale)}


def lokr(stem: str, layer: TinyLayer) -> Tensors:
    """A Kronecker product that is the LoRA's own ΔW: one block, times 1."""
    return {
        f"{stem}.lokr_w1": torch.ones(1, 1),
        f"{stem}.lokr_w2_a": layer.up,
        f"{stem}.lokr_w2_b": layer.down.flatten(1),
        f"{stem}.alpha": torch.tensor(layer.alpha),
    }


def loha(stem: str, layer: TinyLayer) -> Tensors:
    """A Hadamard product that is the LoRA's own ΔW: times a matrix of ones."""
    first = torch.zeros_like(layer.up)
    second = torch.zeros_like(layer.down.flatten(1))
    first[:, 0] = second[0] = 1
    return {
        f"{stem}.hada_w1_a": first,
        f"{stem}.hada_w1_b": second,
        f"{stem}.hada_w2_a": layer.up,
        f"{stem}.hada_w2_b": layer.down.flatten(1),
        f"{stem}.alpha": torch.tensor(layer.alpha),
    }


def _norm(layer: TinyLayer, axis: int) -> Tensor:
    changed = (layer.weight + layer.difference).transpose(0, axis).flatten(1)
    norm: Tensor = changed.norm(dim=1)
    return norm


def dora(stem: str, layer: TinyLayer) -> Tensors:
    """LyCORIS: magnitudes per input, which leave W + ΔW as it is."""
    ones = (1,) * (layer.weight.ndim - 2)
    return down_up(stem, layer) | {f"{stem}.dora_scale": _norm(layer, 1).view(1, -1, *ones)}


def dora_peft(stem: str, layer: TinyLayer) -> Tensors:
    """peft: magnitudes per output, which leave W + ΔW as it is."""
    magnitude = _norm(layer, 0)
    if layer.weight.ndim == 4:
        magnitude = magnitude.view(1, -1, 1, 1)
    return lora_ab(stem, layer) | {f"{stem}.lora_magnitude_vector.weight": magnitude}


def full(stem: str, layer: TinyLayer) -> Tensors:
    """LyCORIS's whole difference."""
    return {f"{stem}.diff": layer.difference}


_CLIP = {"text_encoder": "text_encoder.", "text_encoder_2": "text_encoder_2."}
_TE = {"text_encoder": "lora_te_"}
_TE12 = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
_TE1_T5 = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te3_"}


def _common(denoiser: str, kohya_text: Mapping[str, str]) -> dict[str, Format]:
    """What tools write for every architecture, in diffusers' names."""
    plain = by_diffusers
    return {
        "diffusers": Format(f"{denoiser}.", plain, lora_ab_plain, text=_CLIP, metadata=True),
        "diffusers without metadata": Format(f"{denoiser}.", plain, lora_ab, text=_CLIP),
        "kohya": Format("lora_unet_", plain, down_up, flat=True, text=kohya_text),
        "ai-toolkit": Format("diffusion_model.", plain, lora_ab),
        "ComfyUI": Format("diffusion_model.", plain, down_up),
        "peft": Format("base_model.model.", plain, lora_ab),
        "bare": Format("", plain, lora_ab),
        "LyCORIS": Format("lycoris_", plain, down_up, flat=True),
        "LoKr": Format("lycoris_", plain, lokr, flat=True, exact=False),
        "LoHa": Format("lora_unet_", plain, loha, flat=True, exact=False),
        "DoRA": Format("lora_unet_", plain, dora, flat=True, exact=False),
        "DoRA of peft": Format(f"{denoiser}.", plain, dora_peft, exact=False),
        "full difference": Format("lora_unet_", plain, full, flat=True, exact=False),
    }


def _authored(namer: Namer) -> dict[str, Format]:
    """What tools write that go by the authors' names."""
    return {
        "kohya, authors' names": Format("lora_unet_", namer, down_up, flat=True),
        "ai-toolkit, authors' names": Format("diffusion_model.", namer, lora_ab),
        "ComfyUI, authors' names": Format("diffusion_model.", namer, down_up),
        "LoKr, authors' names": Format("diffusion_model.", namer, lokr, exact=False),
        "LoHa, authors' names": Format("lora_unet_", namer, loha, flat=True, exact=False),
        "DoRA, authors' names": Format("diffusion_model.", namer, dora, exact=False),
    }


_SD = _common("unet", _TE) | _authored(unet_by_authors)
FORMATS: Mapping[Architecture, Mapping[str, Format]] = {
    Architecture.MINI: _SD,
    Architecture.SD15: _SD,
    Architecture.SDXL: _common("unet", _TE12) | _authored(unet_by_authors),
    Architecture.FLUX1: _common("transformer", _TE1_T5)
    | _authored(flux1_by_authors)
    | {"XLabs": Format("", flux1_by_xlabs, xlabs)},
    Architecture.FLUX2: _common("transformer", {}) | _authored(flux2_by_authors),
    Architecture.SD3: _common("transformer", _TE12) | _authored(sd3_by_authors),
    Architecture.QWEN: _common("transformer", {}),
    Architecture.ZIMAGE: _common("transformer", {}) | _authored(zimage_by_authors),
}
"""Architecture → format by the tool or kind it stands for."""
