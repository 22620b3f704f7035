"""Small copies of pictures, made on demand and kept; they hold no record and can be lost."""

import io
from pathlib import Path

from PIL import Image

from studio.gallery import record_png
from studio.gallery.marks import XMP_KEY
from studio.imaging import png
from studio.storage import atomic

EDGE = 320
"""Pixels of the longer side at most; smaller pictures are not enlarged."""
QUALITY = 82


class Thumbnails:
    """Thumbnails in ``folder``, named like the pictures they are of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the thumbnail of the picture ``name`` lies, whether it is there or not."""
        return (self.folder / name).with_suffix(".webp")

    def make(self, name: str, path: Path) -> Path:
        """The thumbnail of the picture at ``path``, kept under ``name``; it has the picture's
        time, which tells whether it fits.

        Raises:
            OSError: when the picture cannot be read or the thumbnail not written.
            GalleryError: when the picture is not intact.
        """
        target, modified = self.path(name), path.stat().st_mtime_ns
        if target.is_file() and target.stat().st_mtime_ns == modified:
            return target
        data = path.read_bytes()
        image = record_png.decode(data)
        image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        mark = png.texts(png.before_pixels(io.BytesIO(data))).get(XMP_KEY, "")
        image.save(buffer, format="WEBP", quality=QUALITY, xmp=mark.encode("utf-8"))
        atomic.replace(target, buffer.getvalue(), modified)
        return target

    def remove(self, name: str) -> None:
        """Forget the thumbnail of ``name``, if there is one."""
        self.path(name).unlink(missing_ok=True)
