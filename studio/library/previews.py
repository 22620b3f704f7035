"""Small pictures of LoRAs and bases, made once and kept in the studio's state.

They come from what lies beside the weights, where nothing is ever written, or are chosen.
"""

import hashlib
import io
import os
from pathlib import Path

from PIL import Image

from studio.contract.base import is_slug
from studio.library.sidecars import PICTURES
from studio.storage import atomic

SIDE = 320
"""Pixels of the longer side at most."""
QUALITY = 80
MAX_PICTURE = 20 * 2**20
MAX_PIXELS = 50_000_000
_OWN = "chosen"


class Previews:
    """Thumbnails in ``folder``; safe for several threads.

    A name says from which picture, in which state, a thumbnail is made: a browser may keep it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sources: dict[str, Path] = {}

    def of(self, slug: str, weights: Path) -> Path | None:
        """Where the thumbnail of a preset lies once it is asked for; None without a picture.

        What somebody chose goes before ``NAME.png``, ``.jpg``, ``.jpeg`` or ``.webp``, or
        ``NAME.preview.png`` and so on, beside the weights, as other tools have it.
        """
        stem = weights.stem if weights.suffix.lower() == ".safetensors" else weights.name
        own = self.folder / _OWN / f"{slug}.webp"
        for path in (own, *(weights.with_name(stem + suffix) for suffix in PICTURES)):
            try:
                status = path.stat()
            except OSError:
                continue
            if status.st_size <= MAX_PICTURE:
                state = os.fsencode(f"{path} {status.st_mtime_ns} {status.st_size}")
                name = f"{hashlib.sha256(state).hexdigest()[:32]}.webp"
                self._sources[name] = path
                return self.folder / name
        return None

    def serves(self, path: Path) -> bool:
        """Whether ``path`` is a thumbnail, which is made now if it is not there yet."""
        if path.parent != self.folder:
            return False
        source = self._sources.get(path.name)
        return path.is_file() or (source is not None and self._make(source, path))

    def _make(self, source: Path, target: Path) -> bool:
        try:
            own = source.parent == self.folder / _OWN
            made = source.read_bytes() if own else _small(source)
            atomic.replace(target, made, source.stat().st_mtime_ns)
        except (OSError, ValueError, Image.DecompressionBombError):
            return False
        return True

    def choose(self, slug: str, thumbnail: Path) -> None:
        """Have a preset shown by a copy of ``thumbnail``, a small WebP picture.

        Raises:
            GalleryError: it cannot be read, or the copy not be kept.
        """
        if not is_slug(slug):
            raise ValueError(f"{slug!r} is no slug")
        with atomic.storing(self.folder):
            atomic.overwrite(self.folder / _OWN / f"{slug}.webp", thumbnail.read_bytes())


def _small(path: Path) -> bytes:
    with Image.open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it has {image.width} x {image.height} pixels")
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        made = io.BytesIO()
        image.convert("RGB").save(made, "WEBP", quality=QUALITY)
        return made.getvalue()
