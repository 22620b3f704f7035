"""Tensor names and shapes of a LoRA file → its layers, in whatever way a tool spelled them.

Spellings: kohya-ss sd-scripts (``lora_unet_…lora_down``), diffusers and peft (``unet.…lora_A``,
``…lora.down``, ``…lora_linear_layer.down``, ``…processor.to_q_lora.down``), ai-toolkit and
ComfyUI (``diffusion_model.…``), XLabs (``…processor.qkv_lora1.down``), LyCORIS (``hada_*``,
``lokr_*``, ``diff``; ``w_norm`` and ``b_norm`` of norms).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import commonprefix

from studio.inspection.decompositions import MODIFIERS, TENSORS, Shape

DENOISER = "denoiser"
"""The component of a layer until the architecture says ``unet`` or ``transformer``."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """How a tensor's name begins, which component that is, and whose habit it is."""

    pattern: re.Pattern[str]
    component: str
    style: str


def _prefix(pattern: str, component: str, style: str) -> Prefix:
    return Prefix(re.compile(pattern), component, style)


PREFIXES: tuple[Prefix, ...] = (
    _prefix(r"lora_(?:unet|transformer)__?", DENOISER, "kohya"),
    _prefix(r"lora_te1?_", "text_encoder", "kohya"),
    _prefix(r"lora_te2_", "text_encoder_2", "kohya"),
    _prefix(r"lora_te3_", "text_encoder_3", "kohya"),
    _prefix(r"lycoris_", DENOISER, "kohya"),
    _prefix(r"transformer_(?=(?:single_)?transformer_blocks_\d)", "transformer", "kohya"),
    _prefix(r"unet_(?=(?:down_blocks|up_blocks|mid_block)_)", "unet", "kohya"),
    _prefix(r"(?:model\.)?diffusion_model\.", DENOISER, "comfyui"),
    _prefix(r"(?:text_encoders\.)?clip_l\.transformer\.", "text_encoder", "comfyui"),
    _prefix(r"(?:text_encoders\.)?clip_g\.transformer\.", "text_encoder_2", "comfyui"),
    _prefix(r"(?:text_encoders\.)?t5xxl\.transformer\.", "text_encoder_3", "comfyui"),
    _prefix(r"text_encoder\.", "text_encoder", "diffusers"),
    _prefix(r"text_encoder_2\.", "text_encoder_2", "diffusers"),
    _prefix(r"text_encoder_3\.", "text_encoder_3", "diffusers"),
    _prefix(r"unet\.", "unet", "diffusers"),
    _prefix(r"transformer\.", "transformer", "diffusers"),
    _prefix(r"(?=(?:text_model\.)?encoder\.layers\.)", "text_encoder", "bare"),
    _prefix(r"", DENOISER, "bare"),
)
"""First match wins; the last one always does."""
_WRAPPED = "base_model.model."
"""peft's own name for what it wraps, before whatever that is called inside."""

_PARTS: Mapping[str, str] = {
    part: pattern
    for parts in (MODIFIERS, *(each.parts for each in TENSORS.values()))
    for part, pattern in parts.items()
}
_PART = re.compile("(?:" + "|".join(f"(?P<{k}>{v})" for k, v in _PARTS.items()) + r")\Z")
_WRAPPERS = 8
_DOTS = 3
"""A part starts at one of the last dots of a name."""


@dataclass(slots=True)
class Layer:
    """The tensors of one layer, by the part they play; ``prefix`` is as the file has it."""

    component: str
    name: str
    style: str
    prefix: str
    shapes: dict[str, Shape] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)


Wrapper = tuple[str, str]
"""What all names of a file begin with, and what all begin with behind their component."""
_COMPILED = re.compile(r"_orig_mod[._]")
"""torch.compile's name for what it wraps, wherever it stands."""


def wrappers(shapes: Mapping[str, Shape]) -> Iterator[Wrapper]:
    """What may be a wrapper around a file's names: nothing first, then what all names share.

    DataParallel, SimpleTuner and trainers of their own put a name before every layer. Whether
    that is so, only the rest can say: it must name layers that are known.
    """
    yield "", ""
    stems = [_COMPILED.sub("", stem) for part, stem in map(split_part, shapes) if part]
    names = [split_prefix(stem)[1] for stem in stems]
    yield from ((start, "") for start in _shared(stems))
    yield from (("", start) for start in _shared(names))


def _shared(names: Sequence[str]) -> list[str]:
    """The beginnings, up to a dot, that all names share, the shortest first."""
    common = commonprefix(names)
    return [common[: dot.end()] for dot in re.finditer(r"\.(?!\d)", common)][:_WRAPPERS]


def group(
    shapes: Mapping[str, Shape], wrapper: Wrapper = ("", "")
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers of a LoRA file, and the names of tensors that play no part in one."""
    layers: dict[str, Layer] = {}
    strays: list[str] = []
    for tensor, shape in shapes.items():
        part, stem = split_part(tensor)
        if part is None:
            strays.append(tensor)
            continue
        stem = _COMPILED.sub("", stem).removeprefix(wrapper[0])
        layer = layers.get(stem)
        if layer is None:
            prefix, name = split_prefix(stem)
            before = stem.removesuffix(name)
            name = name.removeprefix(wrapper[1]).rstrip("_")
            layer = layers[stem] = Layer(prefix.component, name, prefix.style, before)
        if part in layer.shapes:
            strays.append(tensor)
        else:
            layer.shapes[part], layer.tensors[part] = shape, tensor
    return tuple(layers.values()), tuple(strays)


def split_part(tensor: str) -> tuple[str | None, str]:
    """``x.lora_A.weight`` → ("down", "x"); a name without a part → (None, the name)."""
    start = len(tensor)
    found: tuple[str | None, str] = (None, tensor)
    for _ in range(_DOTS):
        start = tensor.rfind(".", 0, start)
        if start <= 0:
            break
        match = _PART.match(tensor, start)
        if match:
            found = match.lastgroup, tensor[:start].removesuffix("_lora")
    return found


def split_prefix(stem: str) -> tuple[Prefix, str]:
    """The habit a name begins with, and the rest of the name."""
    inside = stem.removeprefix(_WRAPPED)
    for prefix in PREFIXES:
        match = prefix.pattern.match(inside)
        if match and match.end() < len(inside):
            bare = prefix.style == "bare" and inside != stem
            return replace(prefix, style="peft") if bare else prefix, inside[match.end() :]
    return PREFIXES[-1], stem
