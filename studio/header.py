"""A safetensors header: bytes → what the file holds, with hostile input refused.

The format (huggingface/safetensors, README "Format"): eight bytes with the header's length
N, unsigned and little-endian; N bytes of JSON, an object whose keys are tensor names (dtype,
shape, data_offsets) and ``__metadata__`` (text to text); then the tensors' bytes, without
holes. The names must be unique, which ``json.loads`` alone would not notice.

The JSON is walked entry by entry and only pieces of at most a few hundred bytes go through
``json.loads``: a hostile header therefore costs about its own length and no multiple of it.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

from studio.errors import HeaderError
from studio.lookalikes import looks_like

LENGTH_FIELD = 8
MAX_HEADER = 8 * 1024 * 1024
"""Bytes. A LoRA of 5,000 tensors needs about 0.7 MB; training metadata that lists every
caption of a large data set reach a few MB. The library's own cap of 100 MB is far above any
honest file."""
MAX_TENSORS = 16_384
"""The largest files known (LoHa with every layer of SDXL, single-file checkpoints) hold
some 5,000."""
MAX_METADATA = 1024 * 1024
"""Bytes of metadata that are kept; later values are checked, left out and named."""
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

_SPACE = re.compile(rb"[ \t\r\n]*+")
# Possessive: one pass and no stack, however long the text is.
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"')
_TENSOR = re.compile(rb"\{[^{}]{0,512}\}")
_UTF8_PIECE = 64 * 1024
_MAX_NAME = 4096


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: ``start`` and ``end`` are byte offsets into the data after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What a file says of itself.

    Attributes:
        tensors: by name, in the order in which their bytes lie.
        metadata: the file's own text, claims that nothing has checked.
        size: bytes before the first tensor's, the length field included.
        left_out: metadata that was too long to keep → its length in bytes.
    """

    tensors: Mapping[str, TensorInfo] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    size: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def header_length(first: bytes) -> int:
    """How many bytes of JSON follow the first eight bytes of a file.

    Args:
        first: the file's first bytes; eight are enough, more help to name a look-alike.

    Raises:
        HeaderError: fewer than eight bytes, a length above ``MAX_HEADER``, or none at all.
    """
    if len(first) < LENGTH_FIELD:
        raise HeaderError(_otherwise(first, f"it is only {len(first)} bytes long"))
    length = int.from_bytes(first[:LENGTH_FIELD], "little")
    if length > MAX_HEADER:
        reason = f"its header claims {length:,} bytes, more than the {MAX_HEADER:,} allowed"
        raise HeaderError(_otherwise(first, reason))
    if length < 2:
        raise HeaderError(_otherwise(first, f"its header claims {length} bytes"))
    return length


def parse(data: bytes, file_size: int) -> SafetensorsHeader:
    """The header of a file.

    Args:
        data: the file's first bytes, at least the length field and the header.
        file_size: bytes of the whole file.

    Raises:
        HeaderError: saying what is wrong, or what the file is instead.
    """
    size = LENGTH_FIELD + header_length(data)
    if file_size < size or len(data) < size:
        there = min(file_size, len(data))
        reason = f"it is cut short: the header ends at byte {size:,}, the file at {there:,}"
        raise HeaderError(_otherwise(data, reason))
    if data[LENGTH_FIELD : LENGTH_FIELD + 1] != b"{":
        raise HeaderError(_otherwise(data, "its header is no JSON object"))
    _check_utf8(data, size)
    return _Walk(data, size).header(file_size - size)


def _otherwise(first: bytes, reason: str) -> str:
    """The look-alike's name where there is one, else ``reason``."""
    name = looks_like(first)
    return f"it is {name}" if name else reason


def _check_utf8(data: bytes, size: int) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)[:size]
    try:
        for start in range(LENGTH_FIELD, size, _UTF8_PIECE):
            decoder.decode(view[start : start + _UTF8_PIECE], start + _UTF8_PIECE >= size)
    except UnicodeDecodeError as error:
        raise HeaderError("its header is not UTF-8 text") from error


class _Walk:
    """One pass over the header's JSON, from ``LENGTH_FIELD`` to ``size``."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, LENGTH_FIELD
        self._tensors: dict[str, TensorInfo] = {}
        self._metadata: dict[str, str] | None = None
        self._left_out: dict[str, int] = {}

    def header(self, data_size: int) -> SafetensorsHeader:
        for key in self._entries():
            if key == "__metadata__":
                self._read_metadata()
            else:
                self._read_tensor(key)
        if self._space() != self._size:
            raise HeaderError(f"its header has text after the JSON, at byte {self._at}")
        tensors = dict(sorted(self._tensors.items(), key=lambda item: _place(item[1])))
        _check_layout(tensors, data_size)
        return SafetensorsHeader(tensors, self._metadata or {}, self._size, self._left_out)

    def _read_tensor(self, name: str) -> None:
        if name in self._tensors:
            raise HeaderError(f"tensor {_shown(name)} is listed twice")
        if len(self._tensors) == MAX_TENSORS:
            raise HeaderError(f"it lists more than {MAX_TENSORS:,} tensors")
        match = _TENSOR.match(self._data, self._space(), self._size)
        if match is None:
            raise HeaderError(f"the entry of tensor {_shown(name)} is no small JSON object")
        self._at = match.end()
        self._tensors[name] = _tensor(name, match.group())

    def _read_metadata(self) -> None:
        if self._metadata is not None:
            raise HeaderError("__metadata__ is listed twice")
        kept = self._metadata = {}
        room = MAX_METADATA
        for key in self._entries():
            if key in kept or key in self._left_out:
                raise HeaderError(f"metadata {_shown(key)} is listed twice")
            start, end = self._string_span()
            if end - start > room or len(kept) + len(self._left_out) >= MAX_TENSORS:
                self._leave_out(key, end - start)
            else:
                kept[key] = _text(self._data[start:end])
                room -= end - start

    def _leave_out(self, key: str, length: int) -> None:
        if len(self._left_out) == MAX_TENSORS:
            raise HeaderError("its metadata has too many entries")
        self._left_out[key] = length

    def _entries(self) -> Iterator[str]:
        """The keys of the object that starts here; the caller consumes each value."""
        self._expect(b"{")
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            start, end = self._string_span()
            if end - start > _MAX_NAME:
                raise HeaderError(f"its header has a name of {end - start:,} bytes")
            self._expect(b":")
            yield _text(self._data[start:end])
            if self._peek() != b",":
                self._expect(b"}")
                return
            self._at += 1

    def _string_span(self) -> tuple[int, int]:
        match = _STRING.match(self._data, self._space(), self._size)
        if match is None:
            raise HeaderError(f"its header is no valid JSON: text expected at byte {self._at}")
        self._at = match.end()
        return match.span()

    def _peek(self) -> bytes:
        at = self._space()
        return self._data[at : min(at + 1, self._size)]

    def _expect(self, character: bytes) -> None:
        if self._peek() != character:
            wanted = character.decode()
            raise HeaderError(f"its header is no valid JSON: no {wanted!r} at byte {self._at}")
        self._at += 1

    def _space(self) -> int:
        match = _SPACE.match(self._data, self._at, self._size)
        assert match is not None  # the pattern matches the empty text
        self._at = match.end()
        return self._at


def _text(raw: bytes) -> str:
    """A JSON text with its quotes → str without lone surrogates, which no UTF-8 can hold."""
    try:
        value = json.loads(raw)
        value.encode("utf-8")
    except ValueError as error:
        raise HeaderError("its header has a text that is not valid JSON or Unicode") from error
    return str(value)


def _tensor(name: str, raw: bytes) -> TensorInfo:
    try:
        pairs = json.loads(raw, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"the entry of tensor {_shown(name)} is no valid JSON") from error
    if sorted(pair[0] for pair in pairs) != ["data_offsets", "dtype", "shape"]:
        raise HeaderError(f"tensor {_shown(name)} has not exactly dtype, shape, data_offsets")
    entry = dict(pairs)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise HeaderError(f"tensor {_shown(name)} has the unknown dtype {str(dtype)[:40]!r}")
    if not _whole(shape) or len(shape) > MAX_DIMENSIONS:
        raise HeaderError(f"tensor {_shown(name)} has no usable shape")
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"tensor {_shown(name)} has no usable data_offsets")
    info = TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])
    if prod(shape) * DTYPE_BITS[dtype] != (info.end - info.start) * 8:
        raise HeaderError(
            f"tensor {_shown(name)} is {dtype} of shape {list(shape)}, "
            f"which is not {info.end - info.start:,} bytes"
        )
    return info


def _whole(value: object) -> bool:
    """Whether ``value`` is a list of integers from 0 to 2^63 - 1; ``True`` is none."""
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 63 for item in value
    )


def _place(info: TensorInfo) -> tuple[int, int]:
    return info.start, info.end


def _check_layout(tensors: Mapping[str, TensorInfo], data_size: int) -> None:
    """Every byte after the header belongs to exactly one tensor."""
    if not tensors:
        raise HeaderError("it holds no tensor")
    ordered = list(tensors.items())
    first, last = ordered[0], ordered[-1]
    if first[1].start != 0:
        raise HeaderError(f"there are {first[1].start:,} stray bytes before the first tensor")
    for (_, before), (name, info) in pairwise(ordered):
        if info.start < before.end:
            raise HeaderError(f"tensor {_shown(name)} overlaps another one")
        if info.start > before.end:
            raise HeaderError(f"there is a hole before tensor {_shown(name)}")
    if last[1].end > data_size:
        missing = last[1].end - data_size
        raise HeaderError(f"it is cut short: {missing:,} bytes of its tensors are missing")
    if last[1].end < data_size:
        raise HeaderError(f"there are {data_size - last[1].end:,} stray bytes at its end")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
