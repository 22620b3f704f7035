"""Every file under the outputs, while others come and go."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from studio.gallery.row import FileStamp
from studio.storage import atomic

NEVER_READ: FileStamp = ""
"""The stamp of no file."""


def walk(outputs: Path, suffix: str) -> Iterator[tuple[str, FileStamp]]:
    """Name (relative, with ``/``) and stamp of every file whose name ends so; links and
    whatever is hidden are left out.

    Raises:
        GalleryError: a folder cannot be listed.
    """
    folders = [str(outputs)]
    start = len(folders[0].rstrip("/")) + 1
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = [each for each in listing if not each.name.startswith(".")]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise atomic.storage_error(error, Path(folder)) from error
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield entry.path[start:], stamp(entry.stat())


def stamp(status: os.stat_result) -> FileStamp:
    return f"{status.st_size} {status.st_mtime_ns}"
