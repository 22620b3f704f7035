"""The reference images of the pictures in the gallery: one file each, however many use it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from studio.contract.base import is_sha256
from studio.imaging.references import SUFFIX
from studio.storage import atomic


class KeptReferences:
    """Reference images in ``folder``, named by the hash of their pixels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where a reference lies, whether it is there or not.

        Raises:
            ValueError: ``sha256`` is none, and could lead anywhere.
        """
        if not is_sha256(sha256):
            raise ValueError(f"no SHA-256: {sha256!r:.80}")
        return self.folder / f"{sha256}{SUFFIX}"

    def keep(self, held: Mapping[str, bytes]) -> None:
        """Write what is not there yet, durably; SHA-256 → the bytes of its file.

        Raises:
            OSError: when the disk does not take it.
        """
        for sha256, data in held.items():
            atomic.settle(self.path(sha256), data)

    def forget(self, hashes: Iterable[str]) -> None:
        """Remove references, there or not.

        Raises:
            OSError: when one cannot be removed.
        """
        for sha256 in hashes:
            self.path(sha256).unlink(missing_ok=True)

    def discard_strays(self, is_used: Callable[[str], bool]) -> None:
        """Remove what no picture uses any more, and what killed writers left.

        What is new may belong to a picture that is being saved just now, and stays.
        """
        now = time.time()
        atomic.discard_stale_parts(self.folder, now)
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > atomic.STALE and not is_used(path.stem):
                    path.unlink()
