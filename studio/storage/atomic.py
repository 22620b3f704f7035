"""Files that are whole or not there, even when the process is killed or the power fails."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from studio.errors import GalleryError

Stamp = tuple[int, int, int, str]
"""Size, mtime and ctime in nanoseconds, device and inode. The ctime, which no program can set,
catches a file that was written in place and given its old mtime back."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Inodes may exceed SQLite's integers, hence text."""
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        f"{status.st_dev}:{status.st_ino}",
    )


PART = ".part"
STALE = 3600.0
"""Seconds after which a part file has no writer any more."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def read_file(path: Path, limit: int) -> bytes:
    """At most ``limit`` bytes of a plain file: a pipe or a device could keep its reader waiting.

    Raises:
        OSError: it cannot be read, or is not a plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        return stream.read(limit)


def publish(
    folder: Path, stem: str, suffix: str, data: bytes, companions: tuple[str, ...] = ()
) -> Path:
    """Write ``folder/stem-N.suffix`` with the lowest free N from 1, and return its path; N is
    free where no file with one of the ``companions``, suffixes too, has it either.

    Whoever creates the part file of a name, which only one can, owns the name; the file
    appears under it by renaming, so nothing is overwritten and nothing half-written seen.

    Raises:
        OSError: when the disk does not take it; then nothing of it stays behind.
    """
    _make(folder)
    for number in itertools.count(1):
        target = folder / f"{stem}-{number}{suffix}"
        others = [folder / f"{stem}-{number}{each}" for each in companions]
        free = not any(os.path.lexists(each) for each in (target, *others))
        if free and _claim_and_write(target, data):
            sync_folder(folder)
            return target
    raise AssertionError("unreachable: itertools.count has no end")


def _claim_and_write(target: Path, data: bytes) -> bool:
    """Whether ``target`` was free and now holds ``data``."""
    part = target.with_name(f".{target.name}{PART}")
    with ExitStack() as cleanup:
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        cleanup.callback(part.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as stream:
            if os.path.lexists(target):  # its owner renamed between our look and our claim
                return False
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
        cleanup.pop_all()
    return True


def replace(target: Path, data: bytes, modified_ns: int) -> None:
    """Write ``target`` in one step, over what is there; not synced: it can be made again.

    Raises:
        OSError: when the disk does not take it.
    """
    _make(target.parent)
    part = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}{PART}")
    with ExitStack() as cleanup:
        cleanup.callback(part.unlink, missing_ok=True)
        with part.open("xb") as stream:
            stream.write(data)
        os.utime(part, ns=(modified_ns, modified_ns))
        part.replace(target)
        cleanup.pop_all()


def settle(target: Path, data: bytes) -> None:
    """Write ``target`` durably in one step, if it is not there: its name says what it holds.

    Raises:
        OSError: when the disk does not take it; then nothing of it stays behind.
    """
    if not target.is_file():
        overwrite(target, data)


def overwrite(target: Path, data: bytes) -> None:
    """Write ``target`` durably in one step, over what is there.

    Raises:
        OSError: when the disk does not take it; then what was there stays, and nothing else.
    """
    _make(target.parent)
    part = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}{PART}")
    with ExitStack() as cleanup:
        cleanup.callback(part.unlink, missing_ok=True)
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
        cleanup.pop_all()
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` survive a power failure."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard_stale_parts(folder: Path, now: float) -> int:
    """Remove what killed writers left in ``folder``; ``now`` in seconds since the epoch."""
    removed = 0
    for part in folder.glob(f".*{PART}"):
        try:
            if now - part.stat().st_mtime > STALE:
                part.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed


def storage_error(error: OSError, folder: Path) -> GalleryError:
    """What an OSError under ``folder`` means to a person."""
    if error.errno in _FULL:
        return GalleryError(
            f"There is no room left for pictures in {folder}: {error.strerror}.",
            "Free some space, or set OUTPUTS to a folder on another disk.",
        )
    if error.errno in _READ_ONLY:
        return GalleryError(
            f"The studio may not write to {folder}: {error.strerror}.",
            "Allow it to, or set OUTPUTS to a folder that it may write to.",
        )
    return GalleryError(
        f"The pictures in {folder} cannot be reached: {error.strerror or error}.",
        "Check the folder, or set OUTPUTS to another one.",
    )


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """An ``OSError`` in here is raised as what it means to a person.

    Raises:
        GalleryError: as ``storage_error`` words it.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, folder) from error


def _make(folder: Path) -> None:
    """Create ``folder``, and its name in the parent durably."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
