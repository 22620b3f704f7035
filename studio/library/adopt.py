"""How a finished download becomes a weight file: in one step, and over nothing."""

import errno
import os
from pathlib import Path

from studio.errors import WeightsError
from studio.library.files import hash_file

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def adopt(temporary: Path, target: Path) -> None:
    """Move a whole file to ``target``, synced; ``temporary`` is gone afterwards.

    The same bytes at ``target`` already are fine. Both must lie on one disk.

    Raises:
        WeightsError: another file is there, or the disk does not take it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(temporary, os.O_RDWR)
        if not _move(temporary, target):
            _accept_same(temporary, target)
        if os.name == "posix":
            _sync(target.parent, os.O_RDONLY)
    except OSError as error:
        raise WeightsError(
            f"{target.name} cannot be put in its place: {error.strerror or error}.",
            f"Check that {target.parent} can be written and has room.",
            target,
        ) from error


def _move(temporary: Path, target: Path) -> bool:
    """Give the file its name; False when the name is taken.

    A hard link is the one way that never replaces another file.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            return False
        temporary.replace(target)
        return True
    temporary.unlink()
    return True


def _accept_same(temporary: Path, target: Path) -> None:
    if hash_file(temporary).sha256 != hash_file(target).sha256:
        raise WeightsError(
            f"Another file is already at {target}.",
            "Move it away, or correct the preset's path or sha256.",
            target,
        )
    temporary.unlink()


def _sync(path: Path, access: int) -> None:
    """Windows syncs only what is open for writing; a folder can only be opened for reading."""
    descriptor = os.open(path, access)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
