"""Pictures that lie beside weights, as small ones the page can show. Nothing is fetched."""

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

SUFFIXES = tuple(
    f"{part}.{kind}" for part in (".preview", "") for kind in ("png", "jpg", "jpeg", "webp")
)
SIDE = 240
"""Pixels of the longer side."""
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000


def preview(weights: Path) -> bytes | None:
    """A small JPEG of the picture beside ``weights``; None where there is none that can be read.

    ``NAME.png``, ``.jpg``, ``.jpeg`` or ``.webp``, or ``NAME.preview.png`` and so on, as other
    tools have it.
    """
    stem = weights.stem if weights.suffix.lower() == ".safetensors" else weights.name
    for suffix in SUFFIXES:
        path = weights.with_name(stem + suffix)
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size <= MAX_BYTES:
            return _small(path, status.st_mtime_ns, status.st_size)
    return None


@lru_cache(maxsize=512)
def _small(path: Path, _modified: int, _size: int) -> bytes | None:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.thumbnail((SIDE, SIDE))
            made = io.BytesIO()
            image.convert("RGB").save(made, "JPEG", quality=82)
            return made.getvalue()
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
