"""Files of JSON, one object a line, to which is only appended.

A process that is killed while it appends leaves a last line without its end. Such a line is torn:
it never counts, and the next one takes its place.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studio.storage import atomic
from studio.storage.lock import lock

_log = logging.getLogger("studio.gallery.jsonl")


@dataclass(frozen=True, slots=True)
class Lines:
    """The whole lines of a file, oldest first, and whether a torn one follows them."""

    whole: tuple[str, ...] = ()
    torn: bool = False


def read(path: Path) -> Lines:
    """The lines of ``path``, none where there is no file. A line ends with a line feed and
    nothing else: text may hold every other character that some call a line break.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: a whole line is no UTF-8.
    """
    if not path.is_file():
        return Lines()
    *whole, torn = path.read_bytes().split(b"\n")
    if torn:
        _log.warning("%s: the last line was cut off and does not count", path.name)
    return Lines(tuple(line.decode("utf-8") for line in whole if line), bool(torn))


def append(path: Path, line: str) -> None:
    """Append ``line``, which has no line feed, and wait until the disk has it.

    Raises:
        GalleryError: when it does not take it.
    """
    with atomic.storing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        with os.fdopen(descriptor, "a+b") as stream:
            # A line that another writer has half written must not be taken for a torn one.
            lock(descriptor, path)
            _drop_torn(path, stream)
            stream.write(line.encode("utf-8") + b"\n")
            stream.flush()
            os.fsync(descriptor)
        atomic.sync_folder(path.parent)


def _drop_torn(path: Path, stream: BinaryIO) -> None:
    if stream.seek(0, os.SEEK_END) == 0:
        return
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) != b"\n":
        stream.seek(0)
        whole = stream.read().rfind(b"\n") + 1
        _log.warning("%s: the last line was cut off and is removed", path.name)
        stream.truncate(whole)
