"""A tiny, real StableDiffusionPipeline with random weights, and LoRA files for it.

Everything is built by diffusers, transformers and peft themselves, saved in their own
layouts and seeded, so that tests exercise the libraries and not a picture of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.engine.tiny.sd15 import stable_diffusion

UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1")
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
Tensors = dict[str, Tensor]


def save_base(folder: Path, seed: int = 0, width: int = 32) -> Path:
    """Save a tiny base in diffusers layout; returns its folder."""
    torch.manual_seed(seed)
    stable_diffusion(width).save_pretrained(folder, safe_serialization=True)
    return folder


def _component_layers(
    model: torch.nn.Module, targets: tuple[str, ...], rank: int, alpha: float, spread: float
) -> tuple[Tensors, dict[str, object]]:
    """Random LoRA weights for ``model`` in peft's naming, and peft's own metadata."""
    whole: Any = alpha  # peft writes an int and takes any number
    config = LoraConfig(r=rank, lora_alpha=whole, target_modules=list(targets))
    model.add_adapter(config, "made")  # type: ignore[operator]  # of diffusers and transformers
    state = {
        key: torch.randn_like(value) * spread
        for key, value in get_peft_model_state_dict(model, adapter_name="made").items()
    }
    fields = config.to_dict()
    fields = {
        key: list(value) if isinstance(value, set) else value for key, value in fields.items()
    }
    return state, fields


def make_lora(
    base: Path,
    path: Path,
    *,
    rank: int = 4,
    alpha: float | None = None,
    text_encoder: bool = False,
    seed: int = 1,
    spread: float = 0.25,
) -> Path:
    """A LoRA in the diffusers format; with ``alpha`` its header says so, as diffusers does."""
    torch.manual_seed(seed)
    pipe = StableDiffusionPipeline.from_pretrained(base, local_files_only=True)
    layers, metadata = {}, {}
    models: dict[str, tuple[Any, tuple[str, ...]]] = {"unet": (pipe.unet, UNET_TARGETS)}
    if text_encoder:
        models["text_encoder"] = (pipe.text_encoder, TEXT_TARGETS)
    for component, (model, targets) in models.items():
        state, fields = _component_layers(model, targets, rank, alpha or rank, spread)
        layers[component], metadata[component] = state, fields
    StableDiffusionPipeline.save_lora_weights(
        path.parent,
        unet_lora_layers=layers["unet"],
        text_encoder_lora_layers=layers.get("text_encoder"),
        weight_name=path.name,
        unet_lora_adapter_metadata=metadata["unet"] if alpha is not None else None,
        text_encoder_lora_adapter_metadata=metadata.get("text_encoder")
        if alpha is not None
        else None,
    )
    return path


def to_kohya(source: Path, path: Path, alpha: float | Callable[[str], float | None] = 2.0) -> Path:
    """``source`` (diffusers format) rewritten as kohya's ``lora_unet_``/``lora_te_`` names.

    ``alpha`` is one number, or a function of the flattened module name; None writes none.
    """
    tensors: Tensors = {}
    for key, value in load_file(source).items():
        component, _, rest = key.partition(".")
        module, _, side = rest.rpartition(".lora_")
        if component == "text_encoder" and not module.startswith("text_model."):
            module = f"text_model.{module}"
        prefix = "lora_unet" if component == "unet" else "lora_te"
        name = f"{prefix}_{module.replace('.', '_')}"
        tensors[f"{name}.lora_{'down' if side.startswith('A') else 'up'}.weight"] = value
        number = alpha(name) if callable(alpha) else alpha
        if number is not None:
            tensors[f"{name}.alpha"] = torch.tensor(float(number))
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def rewrite(source: Path, path: Path, change: Callable[[Tensors], Mapping[str, Tensor]]) -> Path:
    """A copy of ``source`` whose tensors went through ``change``; the header's text is kept."""
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    save_file(dict(change(load_file(source))), path, metadata=metadata)
    return path


def with_metadata(source: Path, path: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A copy of ``source`` whose diffusers adapter metadata went through ``change``."""
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        fields = json.loads(file.metadata()["lora_adapter_metadata"])
    change(fields)
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(fields)}
    save_file(load_file(source), path, metadata=metadata)
    return path
