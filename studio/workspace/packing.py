"""Takes pictures out of the gallery: a ZIP of them, and a line of each record for critics."""

import zipfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from studio.comparison.review import as_record
from studio.errors import GalleryError
from studio.gallery import Filter, Gallery, Picture

MOST_PACKED = 5000
"""Pictures of one ZIP."""
_AT_ONCE = 500
RECORDS, LEFT_OUT = "records.jsonl", "left-out.txt"


def records(gallery: Gallery, wanted: Filter, left_out: list[str] | None = None) -> Iterator[str]:
    """A line of ``as_record`` for each record among the pictures that agree with ``wanted``,
    newest first, copies once. A picture that cannot be read is left out, and named in
    ``left_out``."""
    seen: set[str] = set()
    for picture in _pictures(gallery, wanted):
        if picture.record not in seen:
            seen.add(picture.record)
            line = _line(gallery, picture, [] if left_out is None else left_out)
            if line is not None:
                yield line


def packed(gallery: Gallery, wanted: Filter) -> Iterator[bytes]:
    """A ZIP of the pictures that agree with ``wanted``, the cells of comparisons too, in parts as
    it is made: every file as it is, ``records`` of them all, and a list of what could not be read,
    if there is any.

    Raises:
        GalleryError: none or more than MOST_PACKED agree; before the first part.
    """
    count = gallery.count(wanted)
    if not 0 < count <= MOST_PACKED:
        raise GalleryError(
            f"{count:,} pictures would be packed.",
            f"Choose filters that leave 1 to {MOST_PACKED:,}.",
        )
    return _packed(gallery, wanted)


def _packed(gallery: Gallery, wanted: Filter) -> Iterator[bytes]:
    out, left_out, lines = _ZipStream(), list[str](), list[str]()
    with zipfile.ZipFile(cast("BinaryIO", out), "w") as archive:  # pictures are compressed already
        for picture in _pictures(gallery, wanted):
            line = _line(gallery, picture, left_out)
            if line is not None:
                archive.writestr(f"pictures/{picture.name}", picture.path.read_bytes())
                lines.append(line)
            yield out.taken()
        archive.writestr(RECORDS, "".join(dict.fromkeys(lines)), zipfile.ZIP_DEFLATED)
        if left_out:
            archive.writestr(LEFT_OUT, "".join(f"{each}\n" for each in left_out))
    yield out.taken()


def _pictures(gallery: Gallery, wanted: Filter) -> Iterator[Picture]:
    last = None
    while page := gallery.query(wanted, _AT_ONCE, last):
        yield from page
        last = page[-1]


def _line(gallery: Gallery, picture: Picture, left_out: list[str]) -> str | None:
    try:
        record = gallery.read(picture.path)
        return as_record(picture.name, record, gallery.decisions.on(record.fingerprint))
    except GalleryError as error:
        left_out.append(f"{picture.name}: {error.message}")
        return None


class _ZipStream:
    """A file that is only written to, and given away part by part."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole
