"""LoRA files as diffusers and peft themselves write them, for a tiny base of any pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.numpy import load_file, save_file

from studio.engine.base.folder import from_folder
from studio.settings import BUILT_IN_PRESETS

RANK, ALPHA = 4, 2


def peft_lora(
    pipeline: str,
    base: Path,
    path: Path,
    seed: int = 1,
    text_encoders: bool = True,
    rank: int = RANK,
) -> Path:
    """A LoRA on every linear layer of every part that the pipeline class has LoRAs for.

    Args:
        base: folder of the tiny base, which is only read.
    """
    made = from_folder(base, pipeline, torch.float32)
    given: dict[str, Any] = {}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for component in made._lora_loadable_modules:
            model = getattr(made, component, None)
            if model is None or (component.startswith("text_encoder") and not text_encoders):
                continue
            state, metadata = _adapted(model, rank)
            given[f"{component}_lora_layers"] = state
            given[f"{component}_lora_adapter_metadata"] = metadata
    type(made).save_lora_weights(path.parent, weight_name=path.name, **given)
    return path


def _adapted(model: torch.nn.Module, rank: int) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Random weights in peft's naming, and peft's own metadata."""
    targets = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    config = LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=targets)
    model.add_adapter(config, "made")  # type: ignore[operator]  # of diffusers and transformers
    state = {
        name: torch.randn_like(value) * 0.1
        for name, value in get_peft_model_state_dict(model, adapter_name="made").items()
    }
    fields = config.to_dict()
    return state, {k: sorted(v) if isinstance(v, set) else v for k, v in fields.items()}


def titled_lora(folder: Path, title: str) -> Path:
    """A LoRA for Mini that no library has: one of the studio's own, with a title in its header."""
    ours = BUILT_IN_PRESETS / "mini" / "loras" / "night-neon-mini.safetensors"
    made = folder / "quagga.safetensors"
    save_file(load_file(ours), made, {"modelspec.title": title})
    return made
