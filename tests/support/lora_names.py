"""How tools name a model's layers in their files, written down beside diffusers' names.

Written from the tools' own files, apart from the tables that the studio reads with
(``studio.architecture.families``), so that reading what is written here proves something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Fused = Mapping[str, tuple[str, ...]]
"""A tool's name → the layers in diffusers that make it up, in order."""

_FLUX_ATTENTION = (
    (r"double_blocks.{n}.img_attn.qkv", "transformer_blocks.{n}.attn.", ("to_q", "to_k", "to_v")),
    (
        r"double_blocks.{n}.txt_attn.qkv",
        "transformer_blocks.{n}.attn.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
    ),
    (r"double_blocks.{n}.img_attn.proj", "transformer_blocks.{n}.attn.", ("to_out.0",)),
    (r"double_blocks.{n}.txt_attn.proj", "transformer_blocks.{n}.attn.", ("to_add_out",)),
    ("img_in", "", ("x_embedder",)),
    ("txt_in", "", ("context_embedder",)),
    ("final_layer.linear", "", ("proj_out",)),
    ("final_layer.adaLN_modulation.1", "", ("norm_out.linear",)),
)
_FLUX1 = (
    *_FLUX_ATTENTION,
    ("double_blocks.{n}.img_mlp.0", "transformer_blocks.{n}.ff.net.", ("0.proj",)),
    ("double_blocks.{n}.img_mlp.2", "transformer_blocks.{n}.ff.net.", ("2",)),
    ("double_blocks.{n}.txt_mlp.0", "transformer_blocks.{n}.ff_context.net.", ("0.proj",)),
    ("double_blocks.{n}.txt_mlp.2", "transformer_blocks.{n}.ff_context.net.", ("2",)),
    ("double_blocks.{n}.img_mod.lin", "transformer_blocks.{n}.", ("norm1.linear",)),
    ("double_blocks.{n}.txt_mod.lin", "transformer_blocks.{n}.", ("norm1_context.linear",)),
    (
        "single_blocks.{n}.linear1",
        "single_transformer_blocks.{n}.",
        ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    ),
    ("single_blocks.{n}.linear2", "single_transformer_blocks.{n}.", ("proj_out",)),
    ("single_blocks.{n}.modulation.lin", "single_transformer_blocks.{n}.", ("norm.linear",)),
    ("time_in.in_layer", "time_text_embed.timestep_embedder.", ("linear_1",)),
    ("time_in.out_layer", "time_text_embed.timestep_embedder.", ("linear_2",)),
    ("vector_in.in_layer", "time_text_embed.text_embedder.", ("linear_1",)),
    ("vector_in.out_layer", "time_text_embed.text_embedder.", ("linear_2",)),
    ("guidance_in.in_layer", "time_text_embed.guidance_embedder.", ("linear_1",)),
    ("guidance_in.out_layer", "time_text_embed.guidance_embedder.", ("linear_2",)),
)
_FLUX2 = (
    *_FLUX_ATTENTION,
    ("double_blocks.{n}.img_mlp.0", "transformer_blocks.{n}.ff.", ("linear_in",)),
    ("double_blocks.{n}.img_mlp.2", "transformer_blocks.{n}.ff.", ("linear_out",)),
    ("double_blocks.{n}.txt_mlp.0", "transformer_blocks.{n}.ff_context.", ("linear_in",)),
    ("double_blocks.{n}.txt_mlp.2", "transformer_blocks.{n}.ff_context.", ("linear_out",)),
    ("single_blocks.{n}.linear1", "single_transformer_blocks.{n}.attn.", ("to_qkv_mlp_proj",)),
    ("single_blocks.{n}.linear2", "single_transformer_blocks.{n}.attn.", ("to_out",)),
    ("time_in.in_layer", "time_guidance_embed.timestep_embedder.", ("linear_1",)),
    ("time_in.out_layer", "time_guidance_embed.timestep_embedder.", ("linear_2",)),
    ("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.", ("linear_1",)),
    ("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.", ("linear_2",)),
    ("double_stream_modulation_img.lin", "double_stream_modulation_img.", ("linear",)),
    ("double_stream_modulation_txt.lin", "double_stream_modulation_txt.", ("linear",)),
    ("single_stream_modulation.lin", "single_stream_modulation.", ("linear",)),
)
_XLABS = (
    ("double_blocks.{n}.processor.qkv_lora1", "transformer_blocks.{n}.attn.",
     ("to_q", "to_k", "to_v")),
    ("double_blocks.{n}.processor.qkv_lora2", "transformer_blocks.{n}.attn.",
     ("add_q_proj", "add_k_proj", "add_v_proj")),
    ("double_blocks.{n}.processor.proj_lora1", "transformer_blocks.{n}.attn.", ("to_out.0",)),
    ("double_blocks.{n}.processor.proj_lora2", "transformer_blocks.{n}.attn.", ("to_add_out",)),
    ("single_blocks.{n}.processor.qkv_lora", "single_transformer_blocks.{n}.attn.",
     ("to_q", "to_k", "to_v")),
    ("single_blocks.{n}.processor.proj_lora", "single_transformer_blocks.{n}.", ("proj_out",)),
)  # fmt: skip
_ZIMAGE_PLACES = ("layers", "noise_refiner", "context_refiner")
_ZIMAGE = (
    *(
        (f"{place}.{{n}}.attention.qkv", f"{place}.{{n}}.attention.", ("to_q", "to_k", "to_v"))
        for place in _ZIMAGE_PLACES
    ),
    *(
        (f"{place}.{{n}}.attention.out", f"{place}.{{n}}.attention.", ("to_out.0",))
        for place in _ZIMAGE_PLACES
    ),
    ("x_embedder", "", ("all_x_embedder.2-1",)),
    ("final_layer.linear", "", ("all_final_layer.2-1.linear",)),
    ("final_layer.adaLN_modulation.1", "", ("all_final_layer.2-1.adaLN_modulation.1",)),
)

_SD3 = (
    (
        "joint_blocks.{n}.x_block.attn.qkv",
        "transformer_blocks.{n}.attn.",
        ("to_q", "to_k", "to_v"),
    ),
    (
        "joint_blocks.{n}.context_block.attn.qkv",
        "transformer_blocks.{n}.attn.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
    ),
    (
        "joint_blocks.{n}.x_block.attn2.qkv",
        "transformer_blocks.{n}.attn2.",
        ("to_q", "to_k", "to_v"),
    ),
    ("joint_blocks.{n}.x_block.attn.proj", "transformer_blocks.{n}.attn.", ("to_out.0",)),
    ("joint_blocks.{n}.context_block.attn.proj", "transformer_blocks.{n}.attn.", ("to_add_out",)),
    ("joint_blocks.{n}.x_block.attn2.proj", "transformer_blocks.{n}.attn2.", ("to_out.0",)),
    ("joint_blocks.{n}.x_block.mlp.fc1", "transformer_blocks.{n}.ff.net.", ("0.proj",)),
    ("joint_blocks.{n}.x_block.mlp.fc2", "transformer_blocks.{n}.ff.net.", ("2",)),
    (
        "joint_blocks.{n}.context_block.mlp.fc1",
        "transformer_blocks.{n}.ff_context.net.",
        ("0.proj",),
    ),
    ("joint_blocks.{n}.context_block.mlp.fc2", "transformer_blocks.{n}.ff_context.net.", ("2",)),
    ("joint_blocks.{n}.x_block.adaLN_modulation.1", "transformer_blocks.{n}.", ("norm1.linear",)),
    (
        "joint_blocks.{n}.context_block.adaLN_modulation.1",
        "transformer_blocks.{n}.",
        ("norm1_context.linear",),
    ),
    ("x_embedder.proj", "", ("pos_embed.proj",)),
    ("t_embedder.mlp.0", "time_text_embed.timestep_embedder.", ("linear_1",)),
    ("t_embedder.mlp.2", "time_text_embed.timestep_embedder.", ("linear_2",)),
    ("y_embedder.mlp.0", "time_text_embed.text_embedder.", ("linear_1",)),
    ("y_embedder.mlp.2", "time_text_embed.text_embedder.", ("linear_2",)),
    ("final_layer.linear", "", ("proj_out",)),
    ("final_layer.adaLN_modulation.1", "", ("norm_out.linear",)),
)

Table = Sequence[tuple[str, str, tuple[str, ...]]]
Namer = Callable[[Sequence[str]], Fused]
"""Layers by diffusers' names → the same by a tool's, fused where the tool fuses."""


def by_diffusers(names: Sequence[str]) -> Fused:
    """diffusers' own names."""
    return {name: (name,) for name in names}


def _by(table: Table, keeps_others: bool = False) -> Namer:
    def rename(names: Sequence[str]) -> Fused:
        known = set(names)
        found: dict[str, tuple[str, ...]] = {}
        for theirs, prefix, parts in table:
            for number in _numbers(known, prefix):
                ours = tuple(prefix.format(n=number) + part for part in parts)
                if known.issuperset(ours):
                    found[theirs.format(n=number)] = ours
                    known.difference_update(ours)
        return found | dict(by_diffusers(sorted(known))) if keeps_others else found

    return rename


def _numbers(names: set[str], prefix: str) -> list[int]:
    if "{n}" not in prefix:
        return [0]
    pattern = re.compile(re.escape(prefix).replace(r"\{n\}", r"(\d+)"))
    return sorted({int(match[1]) for name in names if (match := pattern.match(name))})


flux1_by_authors = _by(_FLUX1)
flux2_by_authors = _by(_FLUX2)
flux1_by_xlabs = _by(_XLABS)
sd3_by_authors = _by(_SD3, keeps_others=True)
zimage_by_authors = _by(_ZIMAGE, keeps_others=True)


def unet_by_authors(names: Sequence[str]) -> Fused:
    """A U-Net's layers as Stability AI numbers them; see the walk in ``_numbered``.

    Raises:
        ValueError: ``names`` are not all of the U-Net's, so that nobody can count.
    """
    found = {}
    for name in names:
        theirs = _numbered(name, names)
        if theirs.startswith(("down_blocks", "up_blocks")):
            raise ValueError(f"{name} cannot be numbered without all the other layers")
        for ours, other in _INSIDE:
            theirs = re.sub(ours, other, theirs)
        found[theirs] = (name,)
    return found


_INSIDE = (
    (r"^conv_in$", "input_blocks.0.0"),
    (r"^conv_out$", "out.2"),
    (r"^time_embedding\.linear_(\d)$", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"^add_embedding\.linear_(\d)$", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"\.conv1$", ".in_layers.2"),
    (r"\.conv2$", ".out_layers.3"),
    (r"\.time_emb_proj$", ".emb_layers.1"),
    (r"\.conv_shortcut$", ".skip_connection"),
)


def _numbered(name: str, names: Sequence[str]) -> str:
    """Walk the blocks in the order of the forward pass, counting as the authors do."""
    number = 1
    for level in range(_count(names, r"down_blocks\.(\d+)\.")):
        block = f"down_blocks.{level}."
        resnets = _count(names, rf"{re.escape(block)}resnets\.(\d+)\.")
        found = _in_level(name, block, "input_blocks", number, resnets)
        number += resnets
        if name == block + "downsamplers.0.conv":
            found = f"input_blocks.{number}.0.op"
        if found:
            return found
        number += any(other.startswith(block + "downsamplers.") for other in names)
    number = 0
    for level in range(_count(names, r"up_blocks\.(\d+)\.")):
        block = f"up_blocks.{level}."
        resnets = _count(names, rf"{re.escape(block)}resnets\.(\d+)\.")
        found = _in_level(name, block, "output_blocks", number, resnets)
        number += resnets
        if name == block + "upsamplers.0.conv":
            attends = any(other.startswith(block + "attentions.") for other in names)
            found = f"output_blocks.{number - 1}.{2 if attends else 1}.conv"
        if found:
            return found
    return name


def _in_level(name: str, block: str, theirs: str, number: int, resnets: int) -> str:
    """A resnet is the first thing in its block, an attention the second."""
    for index in range(resnets):
        for place, kind in enumerate(("resnets", "attentions")):
            prefix = f"{block}{kind}.{index}."
            if name.startswith(prefix):
                return f"{theirs}.{number + index}.{place}.{name.removeprefix(prefix)}"
    return ""


def _count(names: Sequence[str], pattern: str) -> int:
    found = {int(match[1]) for name in names if (match := re.match(pattern, name))}
    return max(found) + 1 if found else 0
