"""Single-file checkpoints in the original layout of Stable Diffusion: diffusers' names for theirs.

The names are those of CompVis' latent-diffusion (SD 1.x) and Stability's generative-models
(SDXL); what they are called in diffusers follows ``single_file_utils`` of diffusers 0.42,
whose loader reads the weights. Here only names and shapes are mapped, so that a plan can tell
whether a LoRA fits a base that is one file, without reading a weight of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from studio.architecture import TRAITS, Architecture
from studio.architecture.families.unet_names import OPENAI_CLIP
from studio.inspection.decompositions import Shape

_CLAIM = "modelspec.prediction_type"

_EDGES = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}
_OPENCLIP_EDGES = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
}
_OPENCLIP_LAYER = {theirs: ours for ours, theirs in OPENAI_CLIP.items()}
_BLOCK = re.compile(r"(?P<side>input|middle|output)_blocks?\.(?P<index>\d+)\.(?P<rest>.+)")
_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)")


@dataclass(frozen=True, slots=True)
class Training:
    """How a checkpoint says it has to be sampled.

    Attributes:
        v_prediction: the mark by which it says that it predicts v, in words; None where it
            says nothing of the kind, as most do that predict epsilon.
        zero_snr: the mark by which it says that its noise ends without any signal.
    """

    v_prediction: str | None
    zero_snr: str | None


def training(names: Iterable[str], metadata: Mapping[str, str]) -> Training:
    """What the tensors that trainers put in as marks say, else the file's metadata."""
    marks = {"v_pred", "ztsnr"} & set(names)
    claimed = metadata.get(_CLAIM, "").strip().lower()
    v_prediction = "the tensor v_pred" if "v_pred" in marks else None
    if v_prediction is None and claimed.startswith("v"):
        v_prediction = f"{_CLAIM} {claimed[:40]!r}"
    return Training(v_prediction, "the tensor ztsnr" if "ztsnr" in marks else None)


def single_file_architectures() -> tuple[Architecture, ...]:
    """Those whose base may be one checkpoint file."""
    return tuple(name for name, traits in TRAITS.items() if traits.checkpoint)


def _parts(architecture: Architecture) -> Mapping[str, tuple[tuple[str, str], ...]]:
    parts = TRAITS[architecture].checkpoint
    if not parts:
        raise KeyError(architecture)
    return parts


def component_of(name: str, architecture: Architecture) -> str | None:
    """The component a tensor of the checkpoint belongs to; None for what is not loaded.

    Raises:
        KeyError: the architecture has no such checkpoints.
    """
    parts = _parts(architecture).items()
    return next(
        (part for part, ways in parts if name.startswith(tuple(prefix for prefix, _ in ways))),
        None,
    )


def missing_parts(names: Iterable[str], architecture: Architecture) -> tuple[str, ...]:
    """Components that the checkpoint does not hold.

    Raises:
        KeyError: the architecture has no such checkpoints.
    """
    there = _ways(names, architecture)
    return tuple(part for part in _parts(architecture) if part not in there)


def _ways(names: Iterable[str], architecture: Architecture) -> dict[str, tuple[str, str]]:
    """Component that is there → how its tensors are named: their prefix and its mark."""
    there = frozenset(names)
    return {
        part: way
        for part, ways in _parts(architecture).items()
        for way in reversed(ways)
        if "".join(way) in there
    }


def diffusers_shapes(
    shapes: Mapping[str, Shape], architecture: Architecture, layers_per_block: int
) -> dict[str, dict[str, Shape]]:
    """Component → tensor name in diffusers → shape; the VAE's names are left as they are.

    Args:
        layers_per_block: of the UNet, from its configuration.

    Raises:
        KeyError: the architecture has no such checkpoints.
    """
    found: dict[str, dict[str, Shape]] = {part: {} for part in _parts(architecture)}
    for part, (prefix, mark) in _ways(shapes, architecture).items():
        for name, shape in shapes.items():
            if name.startswith(prefix):
                bare = name.removeprefix(prefix)
                found[part].update(_renamed(part, mark, bare, shape, layers_per_block))
    return found


def stored_as(
    shapes: Mapping[str, Shape], architecture: Architecture, layers_per_block: int
) -> dict[str, dict[str, tuple[str, int, Shape]]]:
    """Component → tensor name in diffusers → the checkpoint's tensor that holds it, the row at
    which it begins there, and its shape.

    Raises:
        KeyError: the architecture has no such checkpoints.
    """
    found: dict[str, dict[str, tuple[str, int, Shape]]] = {}
    for part, (prefix, mark) in _ways(shapes, architecture).items():
        own = found.setdefault(part, {})
        for name, shape in shapes.items():
            if name.startswith(prefix):
                bare, first = name.removeprefix(prefix), 0
                for ours, its in _renamed(part, mark, bare, shape, layers_per_block):
                    own[ours] = (name, first, its)
                    first += its[0] if its else 0
    return found


def clip_tensors(names: Iterable[str], architecture: Architecture) -> dict[str, tuple[str, ...]]:
    """Tensor of the checkpoint → those of its text encoder that it is, stacked, without
    ``text_model.``; empty where diffusers reads the names by itself.

    Raises:
        KeyError: the architecture has no such checkpoints.
    """
    there = tuple(names)
    usual = _parts(architecture)["text_encoder"][0]
    way = _ways(there, architecture).get("text_encoder", usual)
    if way == usual:
        return {}
    prefix, mark = way
    return {
        name: tuple(
            ours.removeprefix("text_model.")
            for ours, _ in _renamed("text_encoder", mark, name.removeprefix(prefix), (0, 0), 0)
        )
        for name in there
        if name.startswith(prefix)
    }


def _renamed(
    part: str, mark: str, name: str, shape: Shape, layers: int
) -> Iterator[tuple[str, Shape]]:
    if part == "unet":
        module, _, kind = name.rpartition(".")
        target = _EDGES.get(module) or _unet_module(module, layers)
        if target is not None:
            yield f"{target}.{kind}", shape
    elif mark == "positional_embedding":
        yield from _openclip(name, shape)
    else:  # no LoRA changes a VAE: its names stay as they are
        yield name, shape


def _unet_module(module: str, layers: int) -> str | None:
    """A module inside the UNet's blocks, which the original numbers one after another."""
    match = _BLOCK.fullmatch(module)
    if match is None:
        return None
    index, rest = int(match["index"]), match["rest"]
    if match["side"] == "middle":
        kind, number = ("attentions", 0) if index == 1 else ("resnets", index // 2)
        return f"mid_block.{kind}.{number}.{_inner(rest)}"
    side = "down" if match["side"] == "input" else "up"
    block, layer = divmod(index - 1 if side == "down" else index, layers + 1)
    part, _, inner = rest.partition(".")
    if inner == "op":
        return f"down_blocks.{block}.downsamplers.0.conv"
    if inner == "conv":
        return f"up_blocks.{block}.upsamplers.0.conv"
    kind = "resnets" if part == "0" else "attentions"
    return f"{side}_blocks.{block}.{kind}.{layer}.{_inner(inner)}"


def _inner(rest: str) -> str:
    return _RESNET.get(rest, rest)


def _openclip(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    if name in _OPENCLIP_EDGES:
        # Stored the other way round; diffusers transposes it.
        turned = shape[::-1] if name == "text_projection" else shape
        yield _OPENCLIP_EDGES[name], turned
        return
    match = _RESBLOCK.fullmatch(name)
    if match is None:
        return
    layer, inner, kind = f"text_model.encoder.layers.{match[1]}", match[2], match[3]
    if inner == "attn.in_proj":
        for side in ("q", "k", "v"):
            yield f"{layer}.self_attn.{side}_proj.{kind}", (shape[0] // 3, *shape[1:])
    elif inner in _OPENCLIP_LAYER:
        yield f"{layer}.{_OPENCLIP_LAYER[inner]}.{kind}", shape
