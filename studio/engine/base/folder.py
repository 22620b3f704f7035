"""A base's folder in the diffusers layout: what it may ask for, and how it is read.

From this disk only, safetensors only, no code of the folder's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio.architecture.diffusers_folder import OPTIONAL
from studio.engine.base.processors import halves
from studio.errors import BaseRefused

# Pipeline is Any: diffusers' pipelines share no typed interface.
Pipeline = Any

FOLDER_WAY_OUT = "Fetch the base model again, in diffusers layout with safetensors weights."
# The only libraries a folder may name: anything else would be code from the folder.
_TRUSTED = ("diffusers", "transformers", "stable_diffusion")
_DENOISERS = ("unet", "transformer")
MAP = "latent_rgb.json"
"""Beside ``model_index.json``, if at all: ``{"latent_rgb": rows}``, one of three numbers
for each channel of the latents and one more that is added, to colours from 0 to 1. No picture
depends on it, so it is no part of the base's identity."""


def from_folder(
    path: Path, pipeline: str, dtype: torch.dtype, variant: str | None = None
) -> Pipeline:
    """The diffusers class ``pipeline`` with the folder's weights, on the CPU.

    Args:
        variant: of the weights, for example ``fp16``; components that lack it are read from
            their plain weights.

    Raises:
        BaseRefused: the folder is of another pipeline, asks for foreign code, or is quantised.
        OSError, ValueError, KeyError, SafetensorError: what diffusers raises.
    """
    import diffusers

    index = read_index(path, pipeline)
    _refuse_quantised(path, index)
    # A folder without its safety checker has none: diffusers would refuse it otherwise.
    absent: dict[str, Any] = {
        name: None for name in OPTIONAL if name in index and not (path / name).is_dir()
    }
    if "safety_checker" in absent:
        absent["requires_safety_checker"] = False
    processors = halves(path, index)
    loaded = getattr(diffusers, pipeline).from_pretrained(
        path,
        local_files_only=True,
        use_safetensors=True,
        variant=variant,
        dtype=dtype,
        trust_remote_code=False,
        **absent,
        **dict.fromkeys(processors),
    )
    loaded.register_modules(**processors)
    return loaded


def components_of(pipeline: Pipeline) -> dict[str, nn.Module]:
    """The parts of a pipeline that LoRAs can change: denoiser and every text encoder, by name."""
    return {
        name: part
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module) and (name in _DENOISERS or name.startswith("text_encoder"))
    }


def read_index(path: Path, pipeline: str) -> dict[str, Any]:
    """``model_index.json``, when it names ``pipeline`` and only classes of known libraries."""
    file = path / "model_index.json"
    if not file.is_file():
        raise BaseRefused(f"There is no model_index.json in {path.name!r}.", FOLDER_WAY_OUT)
    index = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(index, dict) or index.get("_class_name") != pipeline:
        raise BaseRefused(
            f"The base in {path.name!r} is no {pipeline}.", "Correct the model preset's pipeline."
        )
    for name, value in index.items():
        foreign = isinstance(value, list) and value and value[0] not in (None, *_TRUSTED)
        if not name.startswith("_") and foreign:
            raise BaseRefused(f"The base asks for code of {value[0]!r}.", FOLDER_WAY_OUT)
    return index


def _refuse_quantised(path: Path, index: Mapping[str, Any]) -> None:
    """Packed weights have other shapes than a LoRA changes, and nothing proves what it does."""
    for name in index:
        file = path / name / "config.json"
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if isinstance(config, dict) and config.get("quantization_config"):
            raise BaseRefused(
                f"The base in {path.name!r} is quantised: its {name} is packed, and no LoRA can "
                "be proven on packed weights.",
                "Use the model's own weights; a smaller dtype or offload saves memory too.",
            )


def read_map(base: Path) -> torch.Tensor | None:
    """(channels + 1, 3), as who trained the base fitted it; None where it has none.

    Raises:
        BaseRefused: there is one, and it cannot be read.
    """
    path = base / MAP
    if not path.is_file():
        return None
    try:
        rows = torch.tensor(json.loads(path.read_bytes())["latent_rgb"], dtype=torch.float32)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _no_map() from error
    if rows.dim() != 2 or rows.shape[1] != 3 or not rows.isfinite().all():
        raise _no_map()
    return rows


def _no_map() -> BaseRefused:
    return BaseRefused(
        f"{MAP} in the base's folder is not a map from latents to colours.",
        "Fetch the base again, or remove that file: the studio then fits a map of its own.",
    )
