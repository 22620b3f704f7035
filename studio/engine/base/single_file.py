"""A base in one checkpoint file: its weights, with the configurations of a layout folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from studio.architecture import Architecture, traits_of
from studio.engine.base.folder import Pipeline, read_index
from studio.errors import BaseRefused
from studio.inspection.original import missing_parts, single_file_architectures


def from_single_file(
    path: Path, layout: Path, pipeline: str, architecture: Architecture, dtype: torch.dtype
) -> Pipeline:
    """The diffusers class ``pipeline`` with the checkpoint's weights, on the CPU.

    Args:
        layout: folder (diffusers layout) whose configurations and tokenizers are used; its
            weights, if it has any, are not.

    Raises:
        BaseRefused: the checkpoint lacks a part or a weight, or the layout is of another
            pipeline.
        OSError, ValueError, KeyError, SafetensorError: what diffusers raises.
    """
    import diffusers

    read_index(layout, pipeline)
    _demand_parts(path, architecture)
    try:
        return getattr(diffusers, pipeline).from_single_file(
            str(path),
            config=str(layout),
            local_files_only=True,
            dtype=dtype,
            **_no_checker(pipeline),
        )
    except NotImplementedError as error:
        # torch, on a weight that the configuration has and the file did not fill.
        raise BaseRefused(
            f"{path.name} is incomplete: it lacks weights that its configurations ask for.",
            "Use a whole checkpoint, or correct the preset's config.",
        ) from error


def _demand_parts(path: Path, architecture: Architecture) -> None:
    """Else diffusers would take the part from the layout's folder, or from the hub."""
    label = traits_of(architecture).label
    if architecture not in single_file_architectures():
        raise BaseRefused(
            f"{path.name} is one file, and {label} models are read from folders only.",
            "Put the model there as a folder in diffusers layout.",
        )
    with safe_open(path, framework="pt") as weights:
        missing = missing_parts(weights.keys(), architecture)
    if missing:
        raise BaseRefused(
            f"{path.name} holds no {' and no '.join(missing)} of a {label} checkpoint.",
            "Use a checkpoint with all its parts, or a folder in diffusers layout.",
        )


def _no_checker(pipeline: str) -> dict[str, object]:
    """No checkpoint has a safety checker, and diffusers warns where none is."""
    if pipeline != "StableDiffusionPipeline":
        return {}
    return {
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    }
