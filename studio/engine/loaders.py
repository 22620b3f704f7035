"""Architecture → pipeline: from a folder on this disk, safetensors only, no other source."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from studio.engine.folder import FOLDER_WAY_OUT, Pipeline, from_folder
from studio.engine.libraries import listen, quiet_progress_bars
from studio.engine.plain import plain
from studio.errors import BaseRefused
from studio.plan import BaseIdentity

# What the libraries say when weights are missing; they then go on with random ones.
_INCOMPLETE = ("newly initialized", "MISSING", "MISMATCH", "size mismatch")


def load_pipeline(
    identity: BaseIdentity, path: Path, dtype: torch.dtype
) -> tuple[Pipeline, tuple[str, ...]]:
    """The base's pipeline on the CPU, and what the libraries said while loading.

    Raises:
        BaseRefused: the folder is incomplete, of another pipeline, or not safetensors.
    """
    label = identity.label
    quiet_progress_bars()
    _import_pipeline(identity.pipeline)
    try:
        with listen({path: label}) as heard:
            pipeline = from_folder(path, identity.pipeline, dtype)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        text = plain(str(error), {path: label})
        raise BaseRefused(f"The base {label} cannot be loaded: {text}", FOLDER_WAY_OUT) from error
    incomplete = [text for text in heard if any(mark in text for mark in _INCOMPLETE)]
    if incomplete:
        raise BaseRefused(f"The base {label} is incomplete: {incomplete[0]}", FOLDER_WAY_OUT)
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
        raise BaseRefused(f"{name!r} cannot be read: {text}", FOLDER_WAY_OUT) from error


def _import_pipeline(name: str) -> None:
    """Import diffusers' lazy module now: what imports say is no news of this base."""
    import diffusers

    getattr(diffusers, name)
