"""Architecture → pipeline: from a folder on this disk, safetensors only, no other source."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from studio.architecture import Architecture, traits_of
from studio.engine.libraries import listen, quiet_progress_bars
from studio.engine.plain import plain
from studio.errors import BaseRefused, UnsupportedArchitecture
from studio.plan import BaseIdentity

# Pipeline is Any: diffusers' pipelines share no typed interface.
Pipeline = Any
Loader = Callable[[Path, torch.dtype], Pipeline]

_WAY_OUT = "Fetch the base model again, in diffusers layout with safetensors weights."
# The only libraries a folder may name: anything else would be code from the folder.
_TRUSTED = ("diffusers", "transformers", "stable_diffusion")
_OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")
# What the libraries say when weights are missing; they then go on with random ones.
_INCOMPLETE = ("newly initialized", "MISSING", "MISMATCH", "size mismatch")


def load_pipeline(
    identity: BaseIdentity, path: Path, dtype: torch.dtype
) -> tuple[Pipeline, tuple[str, ...]]:
    """The base's pipeline on the CPU, and what the libraries said while loading.

    Raises:
        UnsupportedArchitecture: this release has no loader for it.
        BaseRefused: the folder is incomplete, of another pipeline, or not safetensors.
    """
    architecture, label = identity.architecture, identity.label
    loader = LOADERS.get(architecture)
    if loader is None:
        raise UnsupportedArchitecture(
            f"This release cannot run {traits_of(architecture).label} models.",
            f"Choose a base of {' or '.join(traits_of(known).label for known in LOADERS)}.",
        )
    quiet_progress_bars()
    _import_pipeline(traits_of(architecture).pipeline)
    try:
        with listen({path: label}) as heard:
            pipeline = loader(path, dtype)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        text = plain(str(error), {path: label})
        raise BaseRefused(f"The base {label} cannot be loaded: {text}", _WAY_OUT) from error
    incomplete = [text for text in heard if any(mark in text for mark in _INCOMPLETE)]
    if incomplete:
        raise BaseRefused(f"The base {label} is incomplete: {incomplete[0]}", _WAY_OUT)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, tuple(heard)


def estimate_bytes(identity: BaseIdentity, path: Path, dtype: torch.dtype) -> int:
    """Bytes the base's weights take in ``dtype``; other files in its folder are not loaded.

    From the headers, not the sizes: a file in float16 takes twice its size in float32.
    """
    weights = [file.name for file in identity.files if file.name.endswith(".safetensors")]
    return sum(_elements(path, name) for name in weights) * dtype.itemsize


def _elements(folder: Path, name: str) -> int:
    try:
        with safe_open(folder / name, framework="pt") as weights:
            return sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        text = plain(str(error), {folder: folder.name})
        raise BaseRefused(f"{name!r} cannot be read: {text}", _WAY_OUT) from error


def _load_stable_diffusion(path: Path, dtype: torch.dtype) -> Pipeline:
    from diffusers import StableDiffusionPipeline

    index = _read_index(path, "StableDiffusionPipeline")
    # A folder without its safety checker has none: diffusers would refuse it otherwise.
    absent: dict[str, Any] = {
        name: None for name in _OPTIONAL if name in index and not (path / name).is_dir()
    }
    if "safety_checker" in absent:
        absent["requires_safety_checker"] = False
    return StableDiffusionPipeline.from_pretrained(
        path,
        local_files_only=True,
        use_safetensors=True,
        dtype=dtype,
        trust_remote_code=False,
        **absent,
    )


def _import_pipeline(name: str) -> None:
    """Import diffusers' lazy module now: what imports say is no news of this base."""
    import diffusers

    getattr(diffusers, name)


def _read_index(path: Path, pipeline: str) -> dict[str, Any]:
    """``model_index.json``, when it names ``pipeline`` and only classes of known libraries."""
    file = path / "model_index.json"
    if not file.is_file():
        raise BaseRefused(f"There is no model_index.json in {path.name!r}.", _WAY_OUT)
    index = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(index, dict) or index.get("_class_name") != pipeline:
        raise BaseRefused(
            f"The base in {path.name!r} is no {pipeline}.", "Correct the model preset's pipeline."
        )
    for name, value in index.items():
        foreign = isinstance(value, list) and value and value[0] not in (None, *_TRUSTED)
        if not name.startswith("_") and foreign:
            raise BaseRefused(f"The base asks for code of {value[0]!r}.", _WAY_OUT)
    return index


LOADERS: dict[Architecture, Loader] = {
    Architecture.MINI: _load_stable_diffusion,
    Architecture.SD15: _load_stable_diffusion,
}
"""Add an architecture here; its probe and its encoding must know its components too."""
