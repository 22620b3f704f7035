"""PNG at the level of chunks: bytes → chunks, read strictly, and texts put in between.

A file is the signature and then chunks of length (4 bytes, big-endian), type (4 letters),
data and CRC-32 of type and data (PNG specification, third edition, section 5). Every byte
of the file is thus either fixed or under a CRC, which no change of one byte survives.
Nothing here decodes pixels.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from studio.errors import GalleryError, RecordError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_FILE = 256 * 2**20
"""Bytes of the largest file that is read."""
MAX_PIXELS = 8192 * 8192
MAX_CHUNKS = 100_000
MAX_TEXT = 16 * 2**20
"""Bytes of the largest text, and of the largest chunk that holds no pixels."""
XMP_KEY = "XML:com.adobe.xmp"
"""The keyword of XMP in an iTXt chunk (XMP specification, part 3, section 1.1.5)."""

_CRITICAL = frozenset({"IHDR", "PLTE", "IDAT", "IEND"})


class RgbPixels(Protocol):
    """What is needed of an image; Pillow's has it."""

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def tobytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk with a right CRC; ``offset`` is where its length field starts, in bytes."""

    kind: str
    data: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class PngHeader:
    """IHDR: sizes in pixels, and the rest as the format numbers it."""

    width: int
    height: int
    bit_depth: int
    color_type: int
    compression: int
    filter: int
    interlace: int

    @property
    def is_plain_rgb(self) -> bool:
        """8-bit RGB without interlacing: the only kind the studio writes."""
        rest = (self.bit_depth, self.color_type, self.compression, self.filter, self.interlace)
        return rest == (8, 2, 0, 0, 0)


def broken(where: int, reason: str) -> GalleryError:
    """The error for a file that is not the PNG it was, at byte ``where``."""
    return GalleryError(
        f"This is not an intact PNG file: {reason} (at byte {where}).",
        "Take the picture from a copy of the file that was not changed.",
    )


def pixels_sha256(image: RgbPixels) -> str:
    """SHA-256 of the RGB bytes, three per pixel, rows from top to bottom.

    Raises:
        GalleryError: for an image that is not RGB; a conversion could change it unseen.
    """
    if image.mode != "RGB":
        raise GalleryError(
            f"The image is {image.mode!r}, and only 'RGB' has a pixel hash.",
            "Convert it to RGB first.",
        )
    return hashlib.sha256(image.tobytes()).hexdigest()


def chunks(data: bytes) -> tuple[Chunk, ...]:
    """Every chunk of a whole file.

    Raises:
        GalleryError: naming what is wrong and at which byte: signature, length, type, CRC,
            order, a missing end, bytes after the end, or more than the caps allow.
    """
    if len(data) > MAX_FILE:
        raise broken(MAX_FILE, f"it is larger than {MAX_FILE} bytes")
    return tuple(scan(io.BytesIO(data)))


def before_pixels(stream: BinaryIO) -> tuple[Chunk, ...]:
    """The chunks before the first IDAT, where the texts are; the rest is not looked at.

    Raises:
        GalleryError: as ``chunks``.
    """
    return tuple(scan(stream, until_pixels=True))


def scan(stream: BinaryIO, *, until_pixels: bool = False) -> Iterator[Chunk]:
    """The chunks one by one, each checked before it is given; see ``chunks``."""
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        raise broken(0, "it does not begin with the PNG signature")
    offset, seen = len(SIGNATURE), Order()
    while not seen.ended:
        length, kind = _chunk_head(stream, offset)
        seen.admit(kind, length, offset)
        if until_pixels and kind == "IDAT":
            return
        yield _chunk(stream, offset, length, kind)
        offset += 12 + length
    if stream.read(1):
        raise broken(offset, "something follows its end")


class Order:
    """Checks that chunks come in the order of the specification."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""
        self.pixels = False
        self.ended = False

    def admit(self, kind: str, length: int, offset: int) -> None:
        """Note the next chunk.

        Raises:
            GalleryError: when it may not stand here.
        """
        self.count += 1
        if self.count > MAX_CHUNKS:
            raise broken(offset, f"it has more than {MAX_CHUNKS} chunks")
        if (kind == "IHDR") != (self.count == 1):
            raise broken(offset, f"{kind} stands where it may not; IHDR is first, and once")
        if kind == "IDAT" and self.pixels and self.last != "IDAT":
            raise broken(offset, "its pixel data is not in one piece")
        if kind == "IEND" and not self.pixels:
            raise broken(offset, "it ends before any pixel data")
        if kind == "IEND" and length:
            raise broken(offset, "its end chunk is not empty")
        self.pixels = self.pixels or kind == "IDAT"
        self.ended = kind == "IEND"
        self.last = kind


def _chunk_head(stream: BinaryIO, offset: int) -> tuple[int, str]:
    head = stream.read(8)
    if len(head) < 8:
        raise broken(offset, "it is cut off")
    length, letters = struct.unpack(">I4s", head)
    if not (letters.isascii() and letters.isalpha()):
        raise broken(offset + 4, "a chunk type is not four letters")
    kind: str = letters.decode("ascii")
    if length > (MAX_FILE if kind == "IDAT" else MAX_TEXT):
        raise broken(offset, f"its {kind} chunk says it has {length} bytes")
    if kind[0].isupper() and kind not in _CRITICAL:
        raise broken(offset + 4, f"it has a critical chunk {kind} that is unknown")
    return length, kind


def _chunk(stream: BinaryIO, offset: int, length: int, kind: str) -> Chunk:
    data, tail = stream.read(length), stream.read(4)
    if len(data) < length or len(tail) < 4:
        raise broken(offset, f"its {kind} chunk is cut off")
    (expected,) = struct.unpack(">I", tail)
    found = zlib.crc32(data, zlib.crc32(kind.encode("ascii")))
    if found != expected:
        raise broken(offset, f"its {kind} chunk fails its checksum")
    return Chunk(kind, data, offset)


def header(found: Iterable[Chunk]) -> PngHeader:
    """The IHDR of a file's chunks.

    Raises:
        GalleryError: when it is malformed, empty, or larger than MAX_PIXELS.
    """
    first = next(iter(found))
    if len(first.data) != 13:
        raise broken(first.offset, "its IHDR chunk has not 13 bytes")
    read = PngHeader(*struct.unpack(">IIBBBBB", first.data))
    if not 0 < read.width * read.height <= MAX_PIXELS:
        raise broken(first.offset, f"it claims {read.width} x {read.height} pixels")
    return read


def texts(found: Iterable[Chunk]) -> dict[str, str]:
    """Keyword → text of the iTXt chunks.

    Raises:
        RecordError: for a malformed chunk, a text over MAX_TEXT, or a keyword twice.
    """
    result: dict[str, str] = {}
    for chunk in found:
        if chunk.kind != "iTXt":
            continue
        keyword, text = _itxt(chunk)
        if keyword in result:
            raise _bad_text(chunk, f"the keyword {keyword!r} is there twice")
        result[keyword] = text
    return result


def _itxt(chunk: Chunk) -> tuple[str, str]:
    """keyword NUL compressed(0|1) method(0) language NUL translated-keyword NUL text."""
    keyword, separator, rest = chunk.data.partition(b"\0")
    fields = rest[2:].split(b"\0", 2)
    if not separator or len(rest) < 2 or len(fields) < 3 or not 0 < len(keyword) < 80:
        raise _bad_text(chunk, "it is malformed")
    body = fields[2] if rest[0] == 0 else inflate(chunk, rest[0], rest[1], fields[2])
    if len(body) > MAX_TEXT:
        raise _bad_text(chunk, f"it is longer than {MAX_TEXT} bytes")
    try:
        return keyword.decode("latin-1"), body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad_text(chunk, "it is not UTF-8") from error


def inflate(chunk: Chunk, flag: int, method: int, body: bytes) -> bytes:
    """The text that ``body`` is compressed from, at most a byte more than MAX_TEXT.

    Raises:
        RecordError: for another compression, or none that ends.
    """
    if (flag, method) != (1, 0):
        raise _bad_text(chunk, "its compression is unknown")
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(body, MAX_TEXT + 1)
    except zlib.error as error:
        raise _bad_text(chunk, "it does not decompress") from error
    if len(text) <= MAX_TEXT and not inflater.eof:
        raise _bad_text(chunk, "it does not decompress")
    return text


def _bad_text(chunk: Chunk, reason: str) -> RecordError:
    return RecordError(
        f"A text chunk of this PNG file cannot be read: {reason} (at byte {chunk.offset}).",
        "Take the picture from a copy of the file that was not changed.",
    )


def with_texts(data: bytes, new: Mapping[str, str]) -> bytes:
    """The PNG ``data`` with ``new`` as its only chunks beside header and pixels.

    The texts come before the pixels, so that they are read without them, and are not
    compressed, so that any tool finds them.

    Raises:
        GalleryError: when ``data`` is not an intact PNG, or the file could not be read back
            because a text or the whole is over the caps.
        UnicodeEncodeError: for a text that is not Unicode (lone surrogates).
    """
    kept = [chunk for chunk in chunks(data) if chunk.kind in _CRITICAL]
    parts = [SIGNATURE, serialize(kept[0].kind, kept[0].data)]
    parts += [_text_chunk(keyword, text) for keyword, text in new.items()]
    parts += [serialize(chunk.kind, chunk.data) for chunk in kept[1:]]
    whole = b"".join(parts)
    if len(whole) > MAX_FILE:
        raise _too_long("The picture", len(whole), MAX_FILE)
    return whole


def _text_chunk(keyword: str, text: str) -> bytes:
    data = keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
    # What counts is the chunk, keyword and all: a longer one is refused when it is read.
    if len(data) > MAX_TEXT:
        raise _too_long(f"The text {keyword!r} of the picture", len(data), MAX_TEXT)
    return serialize("iTXt", data)


def _too_long(what: str, size: int, limit: int) -> GalleryError:
    return GalleryError(
        f"{what} would have {size:,} bytes, and a picture with more than {limit:,} there "
        "could not be read back; nothing is saved.",
        "Shorten the prompt and the negative prompt.",
    )


def serialize(kind: str, data: bytes) -> bytes:
    """The bytes of one chunk."""
    body = kind.encode("ascii") + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
