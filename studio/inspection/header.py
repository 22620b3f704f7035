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

from studio.errors import HeaderError
from studio.inspection.lookalikes import looks_like
from studio.inspection.tensor_info import TensorInfo, check_layout, shown, tensor_info

__all__ = ["MAX_HEADER", "SafetensorsHeader", "TensorInfo", "header_length", "parse"]

LENGTH_FIELD = 8
MAX_HEADER = 32 * 1024 * 1024
"""Bytes. A LoRA of 5,000 tensors needs about 0.7 MB; training metadata that lists every
caption of a large data set have reached 18 MB. The library's own cap is 100 MB."""
MAX_TENSORS = 16_384
"""The largest files known (LoHa with every layer of SDXL, single-file checkpoints) hold
some 5,000."""
MAX_KEYS = 4096
"""Metadata entries; kohya-ss writes some 80."""
MAX_METADATA = 1024 * 1024
"""Bytes of metadata that are kept; later values are checked, left out and named."""
ADAPTER_METADATA = "lora_adapter_metadata"
"""diffusers' key for peft's configuration: it changes what the tensors compute."""
MAX_ADAPTER_METADATA = 256 * 1024
"""Bytes of that one value, which has this room for itself; it is kept or the file refused."""

_SO_WRITTEN = "It was written so, and fetching it again brings the same: use another file of it."

_SPACE = re.compile(rb"[ \t\r\n]*+")
# Possessive: one pass and no stack, however long the text is.
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"')
_SCALAR = re.compile(rb"null|true|false|-?[0-9][0-9.eE+-]{0,60}+")
_TENSOR = re.compile(rb"\{[^{}]{0,512}\}")
_UTF8_PIECE = 64 * 1024
_MAX_NAME = 512
"""Bytes of one name; the longest known have some 150."""
MAX_NAMES = 3 * 1024 * 1024
"""Bytes of all tensors' names: ``MAX_TENSORS`` of the longest known."""


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
        raise _otherwise(first, f"it is only {len(first)} bytes long")
    length = int.from_bytes(first[:LENGTH_FIELD], "little")
    if length > MAX_HEADER:
        reason = f"its header claims {length:,} bytes, more than the {MAX_HEADER:,} allowed"
        raise _otherwise(first, reason)
    if length < 2:
        raise _otherwise(first, f"its header claims {length} bytes")
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
        raise _otherwise(data, reason)
    if data[LENGTH_FIELD : LENGTH_FIELD + 1] != b"{":
        raise _otherwise(data, "its header is not a JSON object")
    _check_utf8(data, size)
    return _Walk(data, size).header(file_size - size)


def _otherwise(first: bytes, reason: str) -> HeaderError:
    """The look-alike's name where there is one, else ``reason``."""
    found = looks_like(first)
    return HeaderError(f"it is {found.name}", found.way_out) if found else HeaderError(reason)


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
        self._names = 0

    def header(self, data_size: int) -> SafetensorsHeader:
        for key in self._entries():
            if key == "__metadata__":
                self._read_metadata()
            else:
                self._read_tensor(key)
        if self._space() != self._size:
            raise HeaderError(f"its header has text after the JSON, at byte {self._at}")
        tensors = dict(
            sorted(self._tensors.items(), key=lambda item: (item[1].start, item[1].end))
        )
        check_layout(tensors, data_size)
        return SafetensorsHeader(tensors, self._metadata or {}, self._size, self._left_out)

    def _read_tensor(self, name: str) -> None:
        if name in self._tensors:
            raise HeaderError(f"tensor {shown(name)} is listed twice", _SO_WRITTEN)
        if len(self._tensors) == MAX_TENSORS:
            raise HeaderError(f"it lists more than {MAX_TENSORS:,} tensors", _SO_WRITTEN)
        self._names += len(name)
        if self._names > MAX_NAMES:
            raise HeaderError(
                f"the names of its tensors take more than {MAX_NAMES:,} bytes", _SO_WRITTEN
            )
        match = _TENSOR.match(self._data, self._space(), self._size)
        if match is None:
            raise HeaderError(f"the entry of tensor {shown(name)} is not a small JSON object")
        self._at = match.end()
        self._tensors[name] = tensor_info(name, match.group())

    def _read_metadata(self) -> None:
        if self._metadata is not None:
            raise HeaderError("__metadata__ is listed twice", _SO_WRITTEN)
        kept = self._metadata = {}
        room = MAX_METADATA
        if self._peek() != b"{":
            start, end = self._value_span()
            if self._data[start:end] != b"null":
                raise HeaderError("its __metadata__ is not a JSON object", _SO_WRITTEN)
            return
        for key in self._entries():
            if key in kept or key in self._left_out:
                raise HeaderError(f"metadata {shown(key)} is listed twice", _SO_WRITTEN)
            start, end = self._value_span()
            if len(kept) + len(self._left_out) == MAX_KEYS:
                raise HeaderError(f"its metadata has more than {MAX_KEYS:,} entries", _SO_WRITTEN)
            if key == ADAPTER_METADATA:
                kept[key] = self._adapter_metadata(start, end)
            elif end - start > room:
                self._left_out[key] = end - start
            else:
                kept[key] = _value(self._data[start:end])
                room -= end - start

    def _adapter_metadata(self, start: int, end: int) -> str:
        """Left out, it would count as absent, and its alpha as the rank."""
        if end - start > MAX_ADAPTER_METADATA:
            raise HeaderError(
                f"its {ADAPTER_METADATA} takes {end - start:,} bytes, more than the "
                f"{MAX_ADAPTER_METADATA:,} allowed",
                _SO_WRITTEN,
            )
        return _value(self._data[start:end])

    def _entries(self) -> Iterator[str]:
        """The keys of the object that starts here; the caller consumes each value."""
        self._expect(b"{")
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            start, end = self._string_span()
            if end - start > _MAX_NAME:
                raise HeaderError(f"its header has a name of {end - start:,} bytes", _SO_WRITTEN)
            self._expect(b":")
            yield _text(self._data[start:end])
            if self._peek() != b",":
                self._expect(b"}")
                return
            self._at += 1

    def _string_span(self) -> tuple[int, int]:
        match = _STRING.match(self._data, self._space(), self._size)
        if match is None:
            raise HeaderError(f"its header is not valid JSON: text expected at byte {self._at}")
        self._at = match.end()
        return match.span()

    def _value_span(self) -> tuple[int, int]:
        """Of a metadata value: text, as the format has it, or the other JSON that some write."""
        depth, start = 0, self._space()
        while True:
            mark = self._peek()
            if mark == b'"':
                self._string_span()
            elif mark in (b"[", b"{") or (depth and mark in (b"]", b"}", b",", b":")):
                depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark, 0)
                self._at += 1
            else:
                match = _SCALAR.match(self._data, self._at, self._size)
                if match is None:
                    raise HeaderError(f"its header is not valid JSON: no value at byte {self._at}")
                self._at = match.end()
            if not depth:
                return start, self._at
            if self._at - start > MAX_METADATA:
                raise HeaderError(f"its metadata nest values in more than {MAX_METADATA:,} bytes")

    def _peek(self) -> bytes:
        at = self._space()
        return self._data[at : min(at + 1, self._size)]

    def _expect(self, character: bytes) -> None:
        if self._peek() != character:
            wanted = character.decode()
            raise HeaderError(f"its header is not valid JSON: no {wanted!r} at byte {self._at}")
        self._at += 1

    def _space(self) -> int:
        match = _SPACE.match(self._data, self._at, self._size)
        assert match is not None  # the pattern matches the empty text
        self._at = match.end()
        return self._at


def _value(raw: bytes) -> str:
    """A metadata value as text: a JSON text's own, any other value as it is spelt."""
    return _text(raw) if raw.startswith(b'"') else raw.decode("utf-8")


def _text(raw: bytes) -> str:
    """A JSON text with its quotes → str without lone surrogates, which no UTF-8 can hold."""
    text = raw.decode("utf-8")
    if "\\" not in text:
        return text[1:-1]
    try:
        value = json.loads(text)
        value.encode("utf-8")
    except ValueError as error:
        raise HeaderError("its header has a text that is not valid JSON or Unicode") from error
    return str(value)
