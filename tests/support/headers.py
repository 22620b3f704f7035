"""Safetensors headers without data, and LoRAs in the spellings that tools use."""

import json
import re
from collections.abc import Mapping
from math import prod

from studio.inspection.header import SafetensorsHeader, parse

Shapes = dict[str, tuple[int, ...]]


def only(layers: Shapes, pattern: str) -> Shapes:
    return {name: shape for name, shape in layers.items() if re.search(pattern, name)}


def lora(layers: Shapes, prefix: str, rank: int = 8) -> Shapes:
    """``lora_A``/``lora_B`` behind a dotted prefix; down, up and alpha behind kohya's."""
    kohya = prefix.startswith("lora_")
    down, up = ("lora_down", "lora_up") if kohya else ("lora_A", "lora_B")
    tensors: Shapes = {}
    for name, shape in layers.items():
        stem = prefix + (name.replace(".", "_") if kohya else name)
        tensors[f"{stem}.{down}.weight"] = (rank, *shape[1:])
        tensors[f"{stem}.{up}.weight"] = (shape[0], rank, *(1 for _ in shape[2:]))
        if kohya:
            tensors[f"{stem}.alpha"] = ()
    return tensors


def entries(shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, object], int]:
    """Header entries in F16 without holes, and the bytes their tensors take."""
    end, found = 0, dict[str, object]()
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        found[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    return found, end


def framed(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def header(
    shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None
) -> SafetensorsHeader:
    """The parsed header of a file whose data is not there."""
    found, size = entries(shapes)
    if metadata:
        found["__metadata__"] = dict(metadata)
    data = framed(json.dumps(found).encode())
    return parse(data, len(data) + size)
