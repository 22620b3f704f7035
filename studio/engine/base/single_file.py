"""A base in one checkpoint file: its weights, with the configurations of a layout folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from studio.architecture import Architecture, traits_of
from studio.engine.base.folder import Pipeline, read_index
from studio.errors import BaseRefused
from studio.inspection.original import (
    clip_tensors,
    missing_parts,
    single_file_architectures,
)


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
    renamed = _demand_parts(path, architecture)
    try:
        own = {"text_encoder": _clip(path, layout, renamed, dtype)} if renamed else {}
        return getattr(diffusers, pipeline).from_single_file(
            str(path),
            config=str(layout),
            local_files_only=True,
            dtype=dtype,
            **own,
            **_no_checker(pipeline),
        )
    except NotImplementedError as error:
        # torch, on a weight that the configuration has and the file did not fill.
        raise BaseRefused(
            f"{path.name} is incomplete: it lacks weights that its configurations ask for.",
            "Use a whole checkpoint, or correct the preset's config.",
        ) from error


def _demand_parts(path: Path, architecture: Architecture) -> dict[str, tuple[str, ...]]:
    """Refuse what lacks a part: diffusers would take it from the layout's folder, or from the hub.

    Returns:
        what ``clip_tensors`` says.
    """
    label = traits_of(architecture).label
    if architecture not in single_file_architectures():
        raise BaseRefused(
            f"{path.name} is one file, and {label} models are read from folders only.",
            "Put the model there as a folder in diffusers layout.",
        )
    with safe_open(path, framework="pt") as weights:
        names = weights.keys()
    missing = missing_parts(names, architecture)
    if missing:
        raise BaseRefused(
            f"{path.name} holds no {' and no '.join(missing)} of a {label} checkpoint.",
            "Use a checkpoint with all its parts, or a folder in diffusers layout.",
        )
    return clip_tensors(names, architecture)


def _clip(
    path: Path, layout: Path, renamed: dict[str, tuple[str, ...]], dtype: torch.dtype
) -> torch.nn.Module:
    """The text encoder of a checkpoint whose names for it diffusers does not read.

    Raises:
        NotImplementedError: a weight of it is not there.
    """
    from accelerate import init_empty_weights
    from transformers import CLIPTextConfig, CLIPTextModel

    with init_empty_weights():
        model: torch.nn.Module = CLIPTextModel(
            CLIPTextConfig.from_pretrained(layout / "text_encoder")
        )
    own = {name.removeprefix("text_model."): name for name in model.state_dict()}
    found: dict[str, torch.Tensor] = {}
    with safe_open(path, framework="pt") as weights:
        for theirs, ours in renamed.items():
            known = [own[name] for name in ours if name in own]
            if known:
                parts = weights.get_tensor(theirs).to(dtype).chunk(len(ours))
                found.update(zip(known, parts, strict=True))
    if set(own.values()) - found.keys():
        raise NotImplementedError  # as torch says it of the other parts
    model.load_state_dict(found, assign=True)
    return model.eval()


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
