"""A stranger's picture → plain pixels, decoded in a process of its own.

What decodes it is a C library, and a small file can ask it for gigabytes, for ever, or for what
the library should not do. So it runs apart: with no key in its environment, with bounds for memory
and time, and giving back nothing but a size and as many bytes as that has. Only PNG files that the
studio wrote itself are decoded where it runs.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
import warnings
import zlib
from typing import TYPE_CHECKING

from studio.errors import UnusableReference
from studio.storage.apart import TooMuch, apart

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_FILE = 32 * 2**20
MAX_SIDE = 8192
MAX_KEPT_PIXELS = 2**26
"""Of references kept already: earlier releases took in as many, and they verify for ever."""
MAX_PIXELS = 2**24
"""Four times what the largest of the pipelines makes; decoding takes up to 30 bytes for each."""
LIMITS = (2**31, 30)
"""Bytes of address space and seconds for a process that decodes one."""

_ONE_AT_A_TIME = threading.Lock()
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column, first row, columns apart, rows apart of an interlaced PNG's seven pictures."""
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
_SAVE_AGAIN = "Save it as a PNG or JPEG file and give that."


def decode(data: bytes) -> Image:
    """The picture upright, in sRGB, on white where it is transparent; RGB, and nothing beside it.
    One is decoded at a time.

    Raises:
        UnusableReference: it is not a PNG, JPEG or WebP picture, too large, or cut off.
    """
    from PIL import Image

    if len(data) > MAX_FILE:
        raise UnusableReference(f"its file is larger than {MAX_FILE // 2**20} MiB", _SAVE_AGAIN)
    try:
        with _ONE_AT_A_TIME:
            output = apart(f"{__name__}:main", data, *LIMITS)
    except TooMuch as error:
        reason = "it cannot be decoded in bounded memory and time"
        raise UnusableReference(reason, _SAVE_AGAIN) from error
    said, _, pixels = output.partition(b"\n")
    answer = json.loads(said)
    if "reason" in answer:
        raise UnusableReference(answer["reason"], answer["way_out"])
    return Image.frombytes("RGB", (answer["width"], answer["height"]), pixels)


def main() -> None:
    """In the process apart: a file on standard input, its size and its pixels on the output."""
    pixels = b""
    try:
        image = upright_rgb(sys.stdin.buffer.read())
    except UnusableReference as error:
        answer: dict[str, object] = {"reason": error.reason, "way_out": error.way_out}
    else:
        answer, pixels = {"width": image.width, "height": image.height}, image.tobytes()
    sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n" + pixels)
    sys.stdout.buffer.flush()
    # Whatever else a library has to say at its end is not waited for.
    os._exit(0)


def kept(data: bytes) -> Image:
    """The picture in a file that the studio wrote, which is a PNG; in this process.

    Raises:
        UnusableReference: it is none, or cannot be decoded.
    """
    return _opened(data, ("PNG",), MAX_KEPT_PIXELS)


def upright_rgb(data: bytes) -> Image:
    """In this process; see ``decode``."""
    from PIL import Image, ImageOps

    image = _opened(data, FORMATS, MAX_PIXELS, whole=True)
    if image.mode not in _MODES:
        raise UnusableReference(f"its pixels are of the kind {image.mode!r}", _SAVE_AGAIN)
    # An orientation that cannot be read is no orientation; the pixels stay as they are stored.
    upright = ImageOps.exif_transpose(image)
    seen = _in_srgb(upright)
    if seen.has_transparency_data:
        layered = seen.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        seen = Image.alpha_composite(white, layered)
    plain = seen.convert("RGB")
    return Image.frombytes("RGB", plain.size, plain.tobytes())  # nothing of image.info


def _in_srgb(image: Image) -> Image:
    """The colours as they are meant: by the picture's own profile, where it has one."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK"):
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise UnusableReference("its colour profile cannot be read", _SAVE_AGAIN) from error
    return image if converted is None else converted


def _opened(data: bytes, formats: tuple[str, ...], most_pixels: int, whole: bool = False) -> Image:
    """The decoded picture, refused by its size before anything is decompressed.

    Args:
        whole: every row must be there; what the studio kept is held to its pixels' hash instead.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=formats)
            _check_size(image, most_pixels)
            if whole and image.format == "PNG":
                _demand_every_row(data)
            image.load()
    except UnidentifiedImageError as error:
        raise UnusableReference("it is not a PNG, JPEG or WebP picture", _SAVE_AGAIN) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        KeyError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise UnusableReference(f"it cannot be decoded ({error})", _SAVE_AGAIN) from error
    return image


def _check_size(image: Image, most_pixels: int) -> None:
    width, height = image.size
    if max(width, height) > MAX_SIDE or width * height > most_pixels:
        raise UnusableReference(
            f"it has {width} x {height} pixels",
            f"Give one of {MAX_SIDE} a side and {most_pixels // 10**6} megapixels at most.",
        )
    if image.format != "JPEG" and getattr(image, "is_animated", False):
        raise UnusableReference("it is an animation", "Give one of its pictures.")


def _demand_every_row(data: bytes) -> None:
    """A PNG whose compressed pixels end early is no whole picture; Pillow takes the rows that
    are missing for black."""
    width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    missing = 0
    for x, y, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + -(-columns * bits // 8))
    stream, place = zlib.decompressobj(), 8
    while place + 8 <= len(data) and missing > 0:
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        rest = data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        while rest and missing > 0 and not stream.eof:
            missing -= len(stream.decompress(rest, 2**20))
            rest = stream.unconsumed_tail
        place += length + 12
    if missing > 0 and missing > len(stream.flush()):
        raise UnusableReference("it is cut off: rows of its pixels are missing", _SAVE_AGAIN)
