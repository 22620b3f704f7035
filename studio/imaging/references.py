"""Reference images: pictures that a run edits, kept by the hash of their pixels.

A picture's identity is what is seen, not its file: it is turned upright, brought to sRGB,
laid on white where it is transparent, and written anew as a plain PNG. So nothing of the
original's metadata (place, camera, name, profile) is kept or leaks, and the same pixels are
one reference whatever file they came in.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.base import is_sha256
from studio.contract.request import ReferenceImage
from studio.errors import UnusableReference
from studio.storage import atomic

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
FOLDER = "references"
"""Where references lie beside the pictures made from them."""

SUFFIX = ".png"
MAX_FILE = 32 * 2**20
MAX_SIDE = 8192
MAX_KEPT_PIXELS = 2**26
"""Of references kept already: earlier releases took in as many, and they verify for ever."""
MAX_PIXELS = 2**24
"""Four times what the largest of the pipelines makes; decoding takes up to 30 bytes for each."""
UNUSED_FOR = 24 * 3600.0
"""Seconds after which a reference that was handed in and never used is forgotten."""
QUOTA = 2**31
"""Bytes of those waiting; beyond it the longest unused go first."""
JUST_GIVEN = 600.0
"""Seconds for which one stays whatever the quota: its page is about to ask for it."""

_DECODING = threading.Lock()
"""One picture is decoded at a time: a small file can take hundreds of MB while it is."""
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
_GIVE_AGAIN = "Give the reference image again."


class References:
    """Where an installation finds reference images.

    Args:
        waiting: folder of those handed in for a run.
        kept: SHA-256 → where one lies that a saved picture was made from.
    """

    def __init__(self, waiting: Path, kept: Callable[[str], Path]) -> None:
        self._waiting = waiting
        self._kept = kept
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> ReferenceImage:
        """Take a picture in, as its file's bytes.

        Raises:
            UnusableReference: it is no PNG, JPEG or WebP picture, or too large.
            OSError: the disk does not take it.
        """
        with _DECODING:
            image = _upright_rgb(data)
        found = ReferenceImage(sha256=pixels_sha256(image), width=image.width, height=image.height)
        self.touch(found.sha256)
        if self.locate(found.sha256) is None:
            self.discard_unused(len(data))
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            atomic.replace(self._waiting / _name(found.sha256), buffer.getvalue(), time.time_ns())
        return found

    def locate(self, sha256: str) -> Path | None:
        """Where a reference lies, or None; ``load`` says whether it is still itself."""
        places = (self._kept(sha256), self._waiting / _name(sha256))
        return next((place for place in places if place.is_file()), None)

    def touch(self, sha256: str) -> None:
        """Somebody asks for it: it counts as handed in now."""
        with suppress(FileNotFoundError):
            os.utime(self._waiting / _name(sha256))

    @contextmanager
    def held(self, sha256s: Iterable[str]) -> Iterator[None]:
        """A run uses them: none is forgotten before it ends."""
        names = Counter(_name(sha256) for sha256 in sha256s)
        with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(names)

    def discard_unused(self, coming: int = 0) -> None:
        """Forget what nobody has asked for in a long time, and what is beyond the quota.

        What is kept beside pictures, or held by a run, stays.

        Args:
            coming: bytes that are about to be added.
        """
        now, total = time.time(), coming
        waiting = []
        for path in self._waiting.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                status = path.stat()
                waiting.append((status.st_mtime, status.st_size, path))
        for asked, size, path in sorted(waiting, reverse=True):  # the last asked for first
            total += size
            is_old = now - asked > UNUSED_FOR
            with self._lock:
                if (is_old or (total > QUOTA and now - asked > JUST_GIVEN)) and (
                    self._held[path.name] <= 0
                ):
                    path.unlink(missing_ok=True)


def _name(sha256: str) -> str:
    if not is_sha256(sha256):
        raise ValueError(f"no SHA-256: {sha256!r:.80}")
    return f"{sha256}{SUFFIX}"


def pixels_sha256(image: Image) -> str:
    """SHA-256 of ``<width>x<height>``, a line feed, and the RGB bytes, rows from the top."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode("ascii"))
    digest.update(image.tobytes())
    return digest.hexdigest()


def load(path: Path, wanted: ReferenceImage) -> Image:
    """The reference at ``path`` as an RGB image, if its pixels are still ``wanted``.

    Raises:
        UnusableReference: it is not there, cannot be read, or is another picture.
    """
    try:
        data = atomic.read_file(path, MAX_FILE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnusableReference(f"it cannot be read ({reason})", _GIVE_AGAIN) from error
    image = _opened(data)
    if image.mode != "RGB" or pixels_sha256(image) != wanted.sha256:
        raise UnusableReference("its pixels are not those the plan names", _GIVE_AGAIN)
    return image


def _upright_rgb(data: bytes) -> Image:
    from PIL import Image, ImageOps

    image = _opened(data, incoming=True)
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


def _opened(data: bytes, incoming: bool = False) -> Image:
    """The decoded picture, refused by its size before anything is decompressed.

    Args:
        incoming: a stranger's, with the smaller bound and every row; what is kept is held to
            its pixels' hash instead.
    """
    from PIL import Image, UnidentifiedImageError

    if len(data) > MAX_FILE:
        raise UnusableReference(f"its file is larger than {MAX_FILE // 2**20} MiB", _SAVE_AGAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(image, MAX_PIXELS if incoming else MAX_KEPT_PIXELS)
            if incoming and image.format == "PNG":
                _demand_every_row(data)
            image.load()
    except UnidentifiedImageError as error:
        raise UnusableReference("it is no PNG, JPEG or WebP picture", _SAVE_AGAIN) from error
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
