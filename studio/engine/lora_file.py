"""A LoRA file as layers with their scale, read independently of diffusers' own loader.

Two spellings are accepted, because diffusers 0.42 maps them on SD1.5-structure in full:
``unet.``/``text_encoder.`` + module + ``lora_A|lora_B`` (and the older ``lora.down|up``,
``lora_linear_layer.down|up``), and kohya's ``lora_unet_``/``lora_te_`` + flattened module +
``lora_down|lora_up|alpha``. Everything else is refused by name, because diffusers drops it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from studio.errors import LoraRefused

_WAY_OUT = "Use a plain LoRA made for this base, in the diffusers or the kohya format."
_DIFFUSERS = re.compile(
    r"(?P<component>unet|text_encoder)\.(?P<module>.+)\."
    r"(?:lora_(?P<matrix>[AB])|(?:lora|lora_linear_layer)\.(?P<side>down|up))\.weight"
)
_KOHYA = re.compile(
    r"lora_(?P<component>unet|te1?)_(?P<module>[^.]+)\."
    r"(?:lora_(?P<side>down|up)\.weight|(?P<alpha>alpha))"
)
_KINDS = (
    (("dora_scale", "lora_magnitude_vector"), "DoRA magnitudes, which diffusers would strip"),
    (("lokr_",), "a LoKr"),
    (("hada_",), "a LoHa"),
    (("lora_mid",), "a Tucker (LoCon) decomposition"),
    (("text_encoder_2.", "lora_te2_"), "layers of a second text encoder, which this base lacks"),
    (
        ("diffusion_model.",),
        "names with the prefix 'diffusion_model.', which diffusers drops here",
    ),
    (
        ("base_model.model.",),
        "names with peft's prefix 'base_model.model.', which diffusers drops",
    ),
    (("transformer.", "lora_transformer_"), "layers of a transformer, and this base has a UNet"),
    (("lora_B.bias", ".diff", "bias"), "biases or full differences, which are no LoRA matrices"),
)


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """One layer of the file.

    Attributes:
        module: as the file spells it; flattened with underscores in the kohya format.
        down, up: (rank, in, …) and (out, rank, …), on the CPU, as stored.
        scale: what the layer's product is multiplied by at strength 1, alpha / rank.
    """

    component: str
    module: str
    down: torch.Tensor = field(repr=False)
    up: torch.Tensor = field(repr=False)
    scale: float

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])


@dataclass(frozen=True, slots=True)
class LoraFile:
    """All layers of a file; every tensor of it belongs to one of them."""

    slug: str
    kohya: bool
    layers: tuple[LoraLayer, ...]

    @property
    def numbers(self) -> int:
        """Number of weights in the file (multiply by the dtype's size for bytes)."""
        return sum(layer.down.numel() + layer.up.numel() for layer in self.layers)


def read_lora(slug: str, path: Path) -> LoraFile:
    """Read and account for every tensor.

    Raises:
        LoraRefused: unreadable, not wholly LoRA matrices of a known spelling, a layer with
            one matrix only, weights that are not finite, or nothing but zeros.
    """
    tensors, metadata = _read(slug, path)
    kohya = any(key.startswith(("lora_unet_", "lora_te")) for key in tensors)
    pattern = _KOHYA if kohya else _DIFFUSERS
    parts: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    strange: list[str] = []
    for key, tensor in tensors.items():
        match = pattern.fullmatch(key)
        if match is None:
            strange.append(key)
            continue
        component = "text_encoder" if match["component"].startswith("te") else "unet"
        parts.setdefault((component, match["module"]), {})[_part(match)] = tensor
    if strange or not parts:
        raise LoraRefused(slug, _name_strange(strange, len(tensors)), _WAY_OUT)
    scales = _Scales(slug, metadata, kohya)
    layers = tuple(
        _layer(slug, component, module, found, scales)
        for (component, module), found in sorted(parts.items())
    )
    _refuse_without_effect(slug, layers)
    return LoraFile(slug, kohya, layers)


def _part(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups.get("matrix"):
        return "down" if groups["matrix"] == "A" else "up"
    return str(groups.get("side") or groups["alpha"])


def _read(slug: str, path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise LoraRefused(slug, (f"It cannot be read: {error}.",), _WAY_OUT) from error
    raw = header.get("lora_adapter_metadata")
    if raw is None:
        return tensors, None
    try:
        metadata = json.loads(raw)
    except json.JSONDecodeError as error:
        raise LoraRefused(
            slug, ("The adapter metadata in its header is no JSON.",), _WAY_OUT
        ) from error
    if not isinstance(metadata, dict):
        raise LoraRefused(slug, ("The adapter metadata in its header is no object.",), _WAY_OUT)
    return tensors, metadata


def _name_strange(keys: list[str], total: int) -> tuple[str, ...]:
    if not keys:
        return ("It holds no tensors.",)
    kinds = [
        text for marks, text in _KINDS if any(mark in key for mark in marks for key in keys)
    ] or ["names that neither the diffusers nor the kohya format has"]
    shown = ", ".join(repr(key) for key in keys[:3])
    return (
        f"{len(keys)} of its {total} tensors would not be applied.",
        f"They are {'; '.join(kinds)}: {shown}{' …' if len(keys) > 3 else ''}.",
    )


def _layer(
    slug: str, component: str, module: str, found: Mapping[str, torch.Tensor], scales: _Scales
) -> LoraLayer:
    missing = [side for side in ("down", "up") if side not in found]
    if missing:
        raise LoraRefused(slug, (f"{component}.{module} has no {missing[0]} matrix.",), _WAY_OUT)
    down, up = found["down"], found["up"]
    for side, tensor in (("down", down), ("up", up)):
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            text = f"{component}.{module} has {side} weights that are not finite numbers."
            raise LoraRefused(slug, (text,), _WAY_OUT)
    if down.ndim < 2 or up.ndim != down.ndim or up.shape[1] != down.shape[0]:
        text = f"{component}.{module}: {tuple(down.shape)} and {tuple(up.shape)} do not multiply."
        raise LoraRefused(slug, (text,), _WAY_OUT)
    alpha = found.get("alpha")
    scale = scales.of(component, module, int(down.shape[0]), alpha)
    return LoraLayer(component, module, down, up, scale)


def _refuse_without_effect(slug: str, layers: tuple[LoraLayer, ...]) -> None:
    if not any(bool(layer.up.any()) and bool(layer.down.any()) for layer in layers):
        raise LoraRefused(
            slug,
            ("Every layer multiplies to zero: it changes nothing.",),
            "Fetch it again, or train it for longer.",
        )


class _Scales:
    """alpha / rank of each layer, from the file's own words.

    kohya writes one ``alpha`` tensor per layer; diffusers writes peft's configuration of each
    component into the header. Where a file says nothing, alpha is the rank (scale 1): the
    convention of both formats.
    """

    # Options of peft that change what a layer computes, with the values that do not.
    _PLAIN: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("peft_type", ("LORA",)),
        ("bias", ("none",)),
        ("init_lora_weights", (True, False, "gaussian")),
        ("use_dora", (False,)),
        ("lora_bias", (False,)),
        ("modules_to_save", ()),
        ("layer_replication", ()),
        ("target_parameters", ()),
        ("trainable_token_indices", ()),
    )

    def __init__(self, slug: str, metadata: dict[str, Any] | None, kohya: bool) -> None:
        if kohya and metadata:
            text = "It has kohya's names and peft's adapter metadata: its alpha is ambiguous."
            raise LoraRefused(slug, (text,), _WAY_OUT)
        self._slug = slug
        self._metadata = metadata

    def of(self, component: str, module: str, rank: int, alpha: torch.Tensor | None) -> float:
        if alpha is not None:
            number = float(alpha.item()) if alpha.numel() == 1 else math.nan
            if not math.isfinite(number):
                text = f"The alpha of {component}.{module} is no finite number."
                raise LoraRefused(self._slug, (text,), _WAY_OUT)
            return number / rank
        config = self._config(component)
        if not config:
            return 1.0
        number = self._pattern(config, "alpha_pattern", module, config.get("lora_alpha", 8))
        return number / (math.sqrt(rank) if config.get("use_rslora") else rank)

    def _config(self, component: str) -> dict[str, Any]:
        prefix = f"{component}."
        fields = {
            key.removeprefix(prefix): value
            for key, value in (self._metadata or {}).items()
            if key.startswith(prefix)
        }
        for key, plain in self._PLAIN:
            value = fields.get(key)
            if value and value not in plain:
                text = f"Its header asks for {key}={value!r} in the {component}: no plain LoRA."
                raise LoraRefused(self._slug, (text,), _WAY_OUT)
        return fields

    def _pattern(self, config: dict[str, Any], name: str, module: str, default: Any) -> float:
        """peft's rule: the first key that, as a pattern, matches the end of the module's name."""
        patterns = config.get(name) or {}
        try:
            for key, value in patterns.items():
                if not re.fullmatch(r"[\w.^$\\]+", key):
                    raise ValueError(f"{key!r} is no module name")  # nor a pattern that hangs
                if re.match(rf"(.*\.)?({key})$", module):
                    return float(value)
            return float(default)
        except (re.error, TypeError, ValueError, AttributeError) as error:
            text = f"Its header's {name} cannot be read: {error}."
            raise LoraRefused(self._slug, (text,), _WAY_OUT) from error
