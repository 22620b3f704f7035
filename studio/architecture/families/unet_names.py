"""U-Nets as Stability AI names their blocks (``input_blocks``, ``output_blocks``), and CLIP as
the first diffusers LoRAs named its attention, and as OpenAI names its blocks.

Block numbers count resnets and samplers through all levels, so they follow from how many the
base has of each (diffusers' ``_maybe_map_sgm_blocks_to_diffusers``).
"""

import re
from collections.abc import Iterator

from studio.architecture.layer_names import Alias, Shapes, Slot

_SINGLE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|\w+samplers)\.(\d+)\.(.+)")
_ATTENTION = re.compile(r"\.self_attn\.(q|k|v|out)_proj\Z")
_CLIP_LAYER = re.compile(r"(?:text_model\.)?encoder\.layers\.(\d+)\.(.+)")
OPENAI_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
"""transformers' name of a part of a block → OpenAI's, which fuses the rest of the attention."""
_MID = re.compile(r"mid_block\.((?:resnets|attentions)\.\d)\.(.+)")


def stability_blocks(modules: Shapes) -> Iterator[Alias]:
    """Stability AI's names for what a U-Net has; nothing for other models."""
    if "down_blocks.0.resnets.0.conv1" not in modules:
        return
    counter = _Counter(modules)
    for name in modules:
        theirs = counter.theirs(name)
        if theirs is not None:
            yield theirs, (Slot(name),)


class _Counter:
    """Block numbers from the base's own modules."""

    def __init__(self, modules: Shapes) -> None:
        down = _resnets(modules, "down")
        self._up_resnets = _resnets(modules, "up")
        # Each level below has its resnets and, but for the last, a downsampler.
        self._down_starts = [1 + sum(down[:level]) + level for level in range(len(down))]
        self._down_resnets = down
        self._up_starts = [sum(self._up_resnets[:level]) for level in range(len(self._up_resnets))]
        self._attends = {
            int(match[1])
            for name in modules
            if (match := re.match(r"up_blocks\.(\d+)\.attentions\.", name))
        }

    def theirs(self, name: str) -> str | None:
        if name in _SINGLE:
            return _SINGLE[name]
        if match := _MID.fullmatch(name):
            place = _MIDDLE.get(match[1])
            return place and f"middle_block.{place}.{_inner(match[1], match[2])}"
        match = _BLOCK.fullmatch(name)
        if match is None:
            return None
        way, level, kind, index, rest = match.groups()
        number = self._number(way, int(level), kind, int(index))
        return f"{'input' if way == 'down' else 'output'}_blocks.{number}.{_inner(kind, rest)}"

    def _number(self, way: str, level: int, kind: str, index: int) -> str:
        if way == "down":
            start = self._down_starts[level]
            if kind == "downsamplers":
                return f"{start + self._down_resnets[level]}.0"
            return f"{start + index}.{int(kind == 'attentions')}"
        start = self._up_starts[level]
        if kind == "upsamplers":
            last = start + self._up_resnets[level] - 1
            return f"{last}.{2 if level in self._attends else 1}"
        return f"{start + index}.{int(kind == 'attentions')}"


def _resnets(modules: Shapes, way: str) -> list[int]:
    """How many resnets each level has."""
    found: dict[int, set[int]] = {}
    for name in modules:
        match = re.match(rf"{way}_blocks\.(\d+)\.resnets\.(\d+)\.", name)
        if match:
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    return [len(found[level]) for level in sorted(found)]


def _inner(kind: str, rest: str) -> str:
    if kind.startswith("resnets"):
        return _RESNET.get(rest, rest)
    return "op" if kind == "downsamplers" else rest


def old_attention(modules: Shapes) -> Iterator[Alias]:
    """``self_attn.to_q`` beside ``self_attn.q_proj``, and so on, in CLIP text encoders."""
    for name in modules:
        match = _ATTENTION.search(name)
        if match:
            yield f"{name[: match.start()]}.self_attn.to_{match[1]}", (Slot(name),)


def openai_clip(modules: Shapes) -> Iterator[Alias]:
    """OpenAI's names (``transformer.resblocks``) in CLIP text encoders."""
    for name, shape in modules.items():
        match = _CLIP_LAYER.fullmatch(name)
        if match is None:
            continue
        block = f"transformer.resblocks.{match[1]}"
        if match[2] in OPENAI_CLIP:
            yield f"{block}.{OPENAI_CLIP[match[2]]}", (Slot(name),)
        elif match[2] == "self_attn.q_proj":
            sides = (name, *(name.replace("q_proj", f"{side}_proj") for side in "kv"))
            if all(side in modules for side in sides):
                rows = [((n * shape[0], (n + 1) * shape[0]),) for n in range(3)]
                slots = (Slot(side, own) for side, own in zip(sides, rows, strict=True))
                yield f"{block}.attn.in_proj", tuple(slots)
