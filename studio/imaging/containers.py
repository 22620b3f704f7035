"""JPEG at the level of segments and WebP at that of chunks: read, and texts put in between.

Nothing here decodes pixels, but for the size that WebP's header repeats.
"""

import io
import struct
from collections.abc import Iterator

from PIL import Image

_SCAN = 0xDA


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each segment before the pixels, whole, with the second byte of its marker; last all that
    follows them, as a scan."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != _SCAN:
        kind, length = struct.unpack(">BH", data[place + 1 : place + 4])
        yield kind, data[place : place + 2 + length]
        place += 2 + max(length, 2)
    yield _SCAN, data[place:]


def jpeg_with_texts(data: bytes, xmp: bytes, exif: bytes) -> bytes:
    """The JPEG ``data`` with its XMP and, where there is any, its EXIF behind the JFIF header."""
    segments = [b"http://ns.adobe.com/xap/1.0/\0" + xmp]
    segments += [b"Exif\0\0" + exif] if exif else []
    head = b"".join(struct.pack(">BBH", 0xFF, 0xE1, len(x) + 2) + x for x in segments)
    first = 2 if data[2:4] != b"\xff\xe0" else 4 + struct.unpack(">H", data[4:6])[0]
    return data[:first] + head + data[first:]


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a WebP file; nothing of what is no RIFF."""
    place = 12
    while data.startswith(b"RIFF") and place + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[place : place + 8])
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def webp_with_texts(data: bytes, xmp: bytes, exif: bytes) -> bytes:
    """RIFF with the chunk VP8X, which says what else there is (WebP container specification)."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    flags = (0x04 if xmp else 0) | (0x08 if exif else 0)
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [(b"VP8X", bytes((flags, 0, 0, 0)) + sizes)]
    chunks += [(kind, body) for kind, body in riff_chunks(data) if kind in (b"VP8L", b"VP8 ")]
    chunks += [(b"EXIF", exif)] if exif else []
    chunks += [(b"XMP ", xmp)]
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2)
        for kind, held in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body
