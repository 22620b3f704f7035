"""One weight file on disk: its header, its hashes, what it is."""

import errno
import hashlib
import os
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any, BinaryIO

from studio.contract.base import is_empty_hash
from studio.errors import WeightsError
from studio.inspection import LoraInspection, inspect
from studio.inspection.claims import hash_conflicts
from studio.inspection.description import describe
from studio.inspection.header import LENGTH_FIELD, SafetensorsHeader, header_length, parse
from studio.inspection.lookalikes import LOOK
from studio.inspection.tensor_info import TensorInfo
from studio.library.sidecars import unread_beside
from studio.library.spelling import near

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
BLOCK = 1024 * 1024
"""Bytes that are hashed at a time."""

ByteProgress = Callable[[int, int], None]
"""(bytes done, bytes in all), after each block."""

_SCALARS = {"F64": "<d", "F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i"}


@dataclass(frozen=True, slots=True)
class Hashes:
    """SHA-256 of a whole file and of its tensors' bytes alone, 64 hexadecimal digits each."""

    sha256: str
    data_sha256: str | None

    @property
    def autov2(self) -> str:
        """CivitAI's AutoV2: the first ten digits of the file's SHA-256."""
        return self.sha256[:10]

    @property
    def autov3(self) -> str | None:
        """CivitAI's AutoV3: twelve digits of the tensors' SHA-256; None where it says nothing.

        The hash is that of all bytes after the header (8 + its length), as kohya-ss's
        ``addnet_hash_safetensors`` (library/train_util.py, ``sshs_model_hash``) and A1111's
        (modules/hashes.py) take it.
        """
        if self.data_sha256 is None or is_empty_hash(self.data_sha256):
            return None
        return self.data_sha256[:12]


def unreadable(path: Path, error: OSError) -> WeightsError:
    """What an OSError on a weight file means to a person."""
    alike = near(path) if isinstance(error, FileNotFoundError) and not path.is_symlink() else None
    if alike is not None:
        way_out = f"Did you mean {alike}?"
        return WeightsError(f"{path.name} is not there.", way_out, path)
    return WeightsError(
        f"{path.name} cannot be read: {error.strerror or error}.",
        f"Check that {path} is there and that the studio may read it.",
        path,
    )


def contain(path: Path, roots: Sequence[Path]) -> None:
    """Refuse what lies outside ``roots`` once its symbolic links are followed.

    Raises:
        WeightsError: it leads elsewhere, to itself or to nothing.
    """
    try:
        target = path.resolve(strict=True)
    except OSError as error:
        raise unreadable(path, error) from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise WeightsError(f"{path.name} is a link to itself.", "Remove it.", path) from error
    if not any(target.is_relative_to(root.resolve()) for root in roots):
        raise WeightsError(
            f"{path.name} is a link that leaves {roots[0]}: it leads to {target}.",
            "Put the file itself there, or name the folder that it leads into in LINKED_FOLDERS.",
            path,
        )


def open_file(path: Path) -> BinaryIO:
    """Open a regular file; a pipe or a device would block or never end.

    Raises:
        WeightsError: it is not there, no regular file, or not ours to read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise WeightsError(f"{path.name} is no file.", "Name a safetensors file.", path)
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def read_header(path: Path) -> SafetensorsHeader:
    """The header of a safetensors file; reads nothing else of it.

    Raises:
        HeaderError: it is none, or hostile.
        WeightsError: it cannot be read.
    """
    with open_file(path) as stream:
        return _header(stream, path)


def _header(stream: BinaryIO, path: Path) -> SafetensorsHeader:
    try:
        size = stream.seek(0, 2)
        stream.seek(0)
        length = LENGTH_FIELD + header_length(stream.read(LOOK))
        stream.seek(0)
        # No more than there is: a buffer is reserved for whatever is asked for.
        return parse(stream.read(min(length, size)), size)
    except OSError as error:
        raise unreadable(path, error) from error


def read_inspection(path: Path) -> LoraInspection:
    """What the file is: from its header, the few bytes of its alphas, and the layers that it may
    have twice.

    Raises:
        HeaderError, WeightsError: as ``read_header``.
    """
    return inspected(path)[1]


def inspected(path: Path) -> tuple[SafetensorsHeader, LoraInspection]:
    """The header, and what it says the file is; raises as ``read_header``."""
    with open_file(path) as stream:
        header = _header(stream, path)

        def read(info: TensorInfo, most: int) -> bytes:
            stream.seek(header.size + info.start)
            return stream.read(min(info.end - info.start, most))

        try:
            return header, inspect(header, _alphas(stream, header), read)
        except OSError as error:
            raise unreadable(path, error) from error


def _alphas(stream: BinaryIO, header: SafetensorsHeader) -> Mapping[str, float]:
    """The ``.alpha`` tensors that hold one finite number."""
    alphas = {}
    for name, info in header.tensors.items():
        if name.endswith(".alpha") and prod(info.shape) == 1:
            stream.seek(header.size + info.start)
            value = _scalar(info.dtype, stream.read(info.end - info.start))
            if value is not None and isfinite(value):
                alphas[name] = value
    return alphas


def _scalar(dtype: str, raw: bytes) -> float | None:
    if dtype == "BF16":  # the upper half of a float32
        dtype, raw = "F32", b"\0\0" + raw
    layout = _SCALARS.get(dtype)
    if layout is None or len(raw) != struct.calcsize(layout):
        return None
    return float(struct.unpack(layout, raw)[0])


def hash_file(
    path: Path, data_start: int | None = None, progress: ByteProgress | None = None
) -> Hashes:
    """Read the whole file once.

    Args:
        data_start: where the tensors' bytes begin, to hash them alone too.

    Raises:
        WeightsError: it cannot be read.
    """
    whole, data = hashlib.sha256(), hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    done = 0
    with open_file(path) as stream:
        try:
            size = path.stat().st_size
            while count := stream.readinto(buffer):  # type: ignore[attr-defined]
                whole.update(buffer[:count])
                if data_start is not None:
                    data.update(buffer[max(0, min(count, data_start - done)) : count])
                done += count
                if progress is not None:
                    progress(done, size)
        except OSError as error:
            raise unreadable(path, error) from error
    return Hashes(whole.hexdigest(), data.hexdigest() if data_start is not None else None)


def describe_file(path: Path) -> dict[str, Any]:
    """The object that ``studio inspect FILE --json`` prints.

    Raises:
        HeaderError: it is no safetensors file; the reason says what it looks like.
        WeightsError: it cannot be read.
    """
    inspection = read_inspection(path)
    header = read_header(path)
    hashes = hash_file(path, header.size)
    inspection = inspection.disputed(hash_conflicts(header.metadata, hashes.data_sha256))
    size = header.size + max(info.end for info in header.tensors.values())
    described = describe(
        path.name, inspection, size=size, sha256=hashes.sha256, autov3=hashes.autov3
    )
    unread = unread_beside(path)
    return described | ({"notes": list(unread)} if unread else {})


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
