"""One tensor's entry in a safetensors header, and how the entries lie together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from studio.errors import HeaderError

MAX_DIMENSIONS = 8

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8,
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits of one element (safetensors 0.8, ``Dtype``)."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: ``start`` and ``end`` are byte offsets into the data after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def tensor_info(name: str, raw: bytes) -> TensorInfo:
    """One entry of a header: ``raw`` is its small, flat JSON object.

    Raises:
        HeaderError: naming the tensor and what is wrong with it.
    """
    try:
        pairs = json.loads(raw.decode("utf-8"), object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"the entry of tensor {shown(name)} is not valid JSON") from error
    if sorted(pair[0] for pair in pairs) != ["data_offsets", "dtype", "shape"]:
        raise HeaderError(f"tensor {shown(name)} has not exactly dtype, shape, data_offsets")
    entry = dict(pairs)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise HeaderError(f"tensor {shown(name)} has the unknown dtype {str(dtype)[:40]!r}")
    if not _whole(shape) or len(shape) > MAX_DIMENSIONS:
        raise HeaderError(f"tensor {shown(name)} has no usable shape")
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"tensor {shown(name)} has no usable data_offsets")
    info = TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])
    if prod(shape) * DTYPE_BITS[dtype] != (info.end - info.start) * 8:
        raise HeaderError(
            f"tensor {shown(name)} is {dtype} of shape {list(shape)}, "
            f"which is not {info.end - info.start:,} bytes"
        )
    return info


def _whole(value: object) -> bool:
    """Whether ``value`` is a list of integers from 0 to 2^63 - 1; ``True`` is none."""
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 63 for item in value
    )


def check_layout(tensors: Mapping[str, TensorInfo], data_size: int) -> None:
    """Check that each of the ``data_size`` bytes after the header is one tensor's.

    Args:
        tensors: in the order of their bytes.

    Raises:
        HeaderError: for a hole, an overlap, missing or stray bytes.
    """
    if not tensors:
        raise HeaderError("it holds no tensor")
    ordered = list(tensors.items())
    first, last = ordered[0], ordered[-1]
    if first[1].start != 0:
        raise HeaderError(f"there are {first[1].start:,} stray bytes before the first tensor")
    for (_, before), (name, info) in pairwise(ordered):
        if info.start < before.end:
            raise HeaderError(f"tensor {shown(name)} overlaps another one")
        if info.start > before.end:
            raise HeaderError(f"there is a hole before tensor {shown(name)}")
    if last[1].end > data_size:
        missing = last[1].end - data_size
        raise HeaderError(f"it is cut short: {missing:,} bytes of its tensors are missing")
    if last[1].end < data_size:
        raise HeaderError(f"there are {data_size - last[1].end:,} stray bytes at its end")


def shown(name: str) -> str:
    """A name from a file, quoted, escaped and short enough for a sentence."""
    return repr(name if len(name) <= 80 else name[:77] + "...")
