"""Every file under the outputs, while others come and go."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from studio.errors import GalleryError
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


def inside(outputs: Path, path: Path | str, can_be: Callable[[str], bool], kind: str) -> Path:
    """``path``, absolute or relative to the outputs, as a file that really lies in them, without
    links on the way.

    Args:
        can_be: whether a name (relative, with ``/``) is one of its kind.
        kind: a word for it.

    Raises:
        GalleryError: for any other path, and where there is no such file.
    """
    place = Path(os.path.normpath(outputs / path))
    within = "\0" not in str(place) and place.is_relative_to(outputs)
    name = place.relative_to(outputs) if within else Path()
    if not can_be(name.as_posix()) or any(part.startswith(".") for part in name.parts):
        raise GalleryError(
            f"{path} is not a {kind} in {outputs}.", f"Name a {kind} of the gallery."
        )
    if place.resolve() != place:
        raise GalleryError(f"{path} is a link.", "Name the file it points to itself.")
    if not place.is_file():
        raise GalleryError(f"{path} is not there any more.", "Reload the gallery.")
    return place


def stamp(status: os.stat_result) -> FileStamp:
    return f"{status.st_size} {status.st_mtime_ns}"
