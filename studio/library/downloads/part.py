"""A file while it comes: locked by whoever fetches it, kept for the next time, resumed, checked.

The part lies beside its target, ``.NAME.lora-studio.part``, so that it is on the same disk and
becomes the target by one renaming. It is its own lock file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from studio.library.downloads.errors import DownloadError, HashWrong, SizeWrong
from studio.library.downloads.plan import RemoteFile
from studio.storage.lock import try_lock

BLOCK = 2**20
PART = ".lora-studio.part"
"""Ends the names of parts, so that nobody else's are taken for them."""


@dataclass(frozen=True, slots=True)
class Validator:
    """What tells whether the rest of a file belongs to the part that is here.

    Attributes:
        file: the identity the publisher gives: its hash, else address and size.
        etag: a strong ETag, or the date of the last change; empty where the storage has none.
    """

    file: str
    etag: str = ""


def part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{PART}")


def lock(path: Path, folder: bool = False) -> int | None:
    """An open descriptor that holds the lock on ``path``, which is made; None where another
    has it. Closing it gives the lock back.

    Raises:
        DownloadError: on a system that has no such locks on folders.
        OSError: the disk does not take it.
    """
    if os.name != "posix":
        raise DownloadError("Downloads need Linux or macOS.", "Put the file in its place by hand.")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        if folder:
            path.mkdir(exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileNotFoundError:
            continue  # its owner finished between our two looks
        if not try_lock(descriptor):
            os.close(descriptor)
            return None
        # Whoever had the lock before may have given the file its final name meanwhile.
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


class Part:
    """The part at ``path``, locked; use as a context manager, which gives the lock back."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._note = path.with_name(path.name + ".json")
        self._descriptor = descriptor
        self.hash = hashlib.sha256()
        self.size = os.fstat(descriptor).st_size

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def validator(self) -> Validator | None:
        """What the bytes here belong to; None where nobody knows."""
        try:
            said = json.loads(self._note.read_text("utf-8"))
            return Validator(str(said["file"]), str(said["etag"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, validator: Validator) -> None:
        """Empty the part; from now on it belongs to ``validator``."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self.hash = hashlib.sha256()
        text = json.dumps({"file": validator.file, "etag": validator.etag})
        temporary = self._note.with_name(self._note.name + ".new")
        temporary.write_text(text, "utf-8")
        temporary.replace(self._note)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.hash.update(data)
        self.size += len(data)

    def reread(self) -> int:
        """Hash one more block of what is here; the bytes read, 0 at the end."""
        data = os.read(self._descriptor, BLOCK)
        self.hash.update(data)
        return len(data)

    def rewind(self) -> None:
        """Before the first ``reread``."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = os.fstat(self._descriptor).st_size
        self.hash = hashlib.sha256()

    def head(self, count: int) -> bytes:
        return os.pread(self._descriptor, count, 0)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    @contextmanager
    def unless_empty(self) -> Iterator[None]:
        """Whatever ends the block, a part that holds nothing does not stay."""
        try:
            yield
        finally:
            if self.size == 0:
                self.discard()

    def discard(self) -> None:
        """Keep nothing of it."""
        self.path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """The part has become the target: its note goes."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)


def identity(remote: RemoteFile) -> str:
    """What makes two downloads the same file."""
    return remote.sha256 or remote.git_sha1 or f"{remote.url} {remote.size}"


def check(remote: RemoteFile, part: Part) -> None:
    """Size and hash of the whole part; what is wrong is not kept.

    Raises:
        SizeWrong, HashWrong: naming what was expected.
    """
    found = part.hash.hexdigest()
    try:
        if remote.size is not None and part.size != remote.size:
            raise SizeWrong(remote.name, remote.size, part.size)
        if remote.sha256 is not None and found != remote.sha256:
            raise HashWrong(remote.name, remote.sha256, found)
        if remote.sha256 is None and remote.git_sha1 is not None:
            found = git_sha1(part.path.read_bytes())
            if found != remote.git_sha1:
                raise HashWrong(remote.name, f"(git) {remote.git_sha1}", found)
    except (SizeWrong, HashWrong):
        part.discard()
        raise


def git_sha1(data: bytes) -> str:
    """Git's name for a file's content: SHA-1 over ``blob SIZE\\0`` and the bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
