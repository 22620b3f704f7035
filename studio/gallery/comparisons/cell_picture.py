"""The picture of a comparison's cell, as long as it is the one that was compared."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studio.comparison.record import CellRecord
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError
from studio.gallery.gallery import Gallery
from studio.gallery.record_png import decode
from studio.gallery.verification import examine


@dataclass(frozen=True, slots=True)
class CellPicture:
    """A verified picture: its file, its RGB pixels, its record."""

    path: Path
    image: Image.Image
    record: RunRecord


def cell_picture(gallery: Gallery, cell: CellRecord) -> CellPicture:
    """Read a cell's picture, and see that file, pixels and record are those of the comparison.

    Raises:
        GalleryError: the cell has none, or it is gone, damaged or another one by now.
    """
    name = str(cell.picture)
    try:
        gallery.read(name)
        data = (gallery.outputs / name).read_bytes()
    except GalleryError as error:
        raise _lost(cell, error.message) from error
    except OSError as error:
        raise _lost(cell, f"{name} cannot be read: {error.strerror or error}.") from error
    answer = examine(data)
    if answer.record is None or answer.findings:
        raise _lost(cell, answer.findings[0].text)
    if answer.record.fingerprint != cell.record_fingerprint:
        raise _lost(cell, f"{name} is another picture by now.")
    return CellPicture(gallery.outputs / name, decode(data), answer.record)


def _lost(cell: CellRecord, reason: str) -> GalleryError:
    return GalleryError(
        f"“{cell.label}” is not there as it was compared. {reason}",
        "Choose other cells, or run the comparison again.",
    )
