"""Reference images: pictures that a run edits, kept by the hash of their pixels.

A picture's identity is what is seen, not its file: it is turned upright, brought to sRGB,
laid on white where it is transparent, and written anew as a plain PNG. So nothing of the
original's metadata (place, camera, name, profile) is kept or leaks but the marks that say a model
made it, and the same pixels are one reference whatever file they came in.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.base import canonical_json, is_sha256
from studio.contract.marks import InheritedMark
from studio.contract.request import ReferenceImage
from studio.errors import GalleryError, UnusableReference
from studio.imaging import decoding, png
from studio.imaging.inherited import mark_of
from studio.storage import atomic

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER = "references"
"""Where references lie beside the pictures made from them."""

SUFFIX = ".png"
MARK_KEY = "lora-studio-inherited"
"""The text in a kept reference that has the marks of the file it came in."""
UNUSED_FOR = 24 * 3600.0
"""Seconds after which a reference that was handed in and never used is forgotten."""
SHARE = 2**28
"""Bytes of them that one visitor of a public page may have."""
QUOTA = 2**31
"""Bytes of those waiting; beyond it the longest unused go first."""
JUST_GIVEN = 600.0
"""Seconds for which one stays whatever the quota: its page is about to ask for it."""

_MAX_KEPT = 3 * decoding.MAX_KEPT_PIXELS + 2**20
"""Bytes of the largest file that is read: pixels that do not get smaller, and what is around."""
_GIVE_AGAIN = "Give the reference image again."


class References:
    """Where an installation finds reference images.

    Args:
        waiting: folder of those handed in for a run.
        kept: SHA-256 → where one lies that a saved picture was made from.
        prefix: what the names of those begin with that whoever asks has handed in; others' are
            not found. Empty where everybody is one.
    """

    def __init__(
        self, waiting: Path, kept: Callable[[str], Path], prefix: Callable[[], str] = str
    ) -> None:
        self._waiting = waiting
        self._kept = kept
        self._prefix = prefix
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> ReferenceImage:
        """Take a picture in, as its file's bytes.

        Raises:
            UnusableReference: it is not a PNG, JPEG or WebP picture, or too large.
            OSError: the disk does not take it.
        """
        image = decoding.decode(data)
        mark = mark_of(data, reference_sha256(image))
        found = ReferenceImage(
            sha256=reference_sha256(image), width=image.width, height=image.height
        )
        self.touch(found.sha256)
        if self.locate(found.sha256) is None or (mark and not self.mark(found.sha256)):
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            if mark:
                texts = {MARK_KEY: canonical_json(mark.model_dump(mode="json"))}
                buffer = io.BytesIO(png.with_texts(buffer.getvalue(), texts))
            self._demand_room(len(buffer.getvalue()))
            atomic.replace(self._place(found.sha256), buffer.getvalue(), time.time_ns())
        return found

    def _demand_room(self, coming: int) -> None:
        """
        Raises:
            UnusableReference: there is none.
        """
        prefix = self._prefix()
        own = sum(_size(path) for path in self._waiting.glob(f"{prefix}*{SUFFIX}"))
        if (prefix and own + coming > SHARE) or self.discard_unused(coming) > QUOTA:
            reason = "too many that were just handed in wait to be used"
            raise UnusableReference(reason, "Give it again in ten minutes.")

    def forget_mine(self) -> None:
        """Forget what whoever asks has handed in; nothing where everybody is one."""
        if prefix := self._prefix():
            for path in self._waiting.glob(f"{prefix}*{SUFFIX}"):
                path.unlink(missing_ok=True)

    def _place(self, sha256: str) -> Path:
        if not is_sha256(sha256):
            raise ValueError(f"no SHA-256: {sha256!r:.80}")
        return self._waiting / f"{self._prefix()}{sha256}{SUFFIX}"

    def locate(self, sha256: str) -> Path | None:
        """Where a reference lies, or None; ``load`` says whether it is still itself."""
        places = (self._kept(sha256), self._place(sha256))
        return next((place for place in places if place.is_file()), None)

    def mark(self, sha256: str) -> InheritedMark | None:
        """What the file that a reference came in said of its making; None where it said nothing.

        Raises:
            UnusableReference: what was kept of it cannot be read.
        """
        for place in (self._kept(sha256), self._place(sha256)):
            if not place.is_file():
                continue
            try:
                with place.open("rb") as stream:
                    text = png.texts(png.before_pixels(stream)).get(MARK_KEY)
                found = None if text is None else InheritedMark.model_validate_json(text)
            except (OSError, GalleryError, ValueError) as error:
                raise UnusableReference("its marks cannot be read", _GIVE_AGAIN) from error
            if found is not None:
                return found
        return None

    def touch(self, sha256: str) -> None:
        """Somebody asks for it: it counts as handed in now."""
        with suppress(FileNotFoundError):
            os.utime(self._place(sha256))

    @contextmanager
    def held(self, sha256s: Iterable[str]) -> Iterator[None]:
        """A run uses them: none is forgotten before it ends."""
        names = Counter(self._place(sha256).name for sha256 in sha256s)
        with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(names)

    def discard_unused(self, coming: int = 0) -> int:
        """Forget what nobody has asked for in a long time, and what is beyond the quota.

        What is kept beside pictures, or held by a run, stays. Returns the bytes that are left,
        with those that are coming.

        Args:
            coming: bytes that are about to be added.
        """
        now, total = time.time(), coming
        waiting = []
        for path in self._waiting.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                status = path.stat()
                waiting.append((status.st_mtime, status.st_size, path))
        left = total
        for asked, size, path in sorted(waiting, reverse=True):  # the last asked for first
            total += size
            left += size
            is_old = now - asked > UNUSED_FOR
            with self._lock:
                if (is_old or (total > QUOTA and now - asked > JUST_GIVEN)) and (
                    self._held[path.name] <= 0
                ):
                    path.unlink(missing_ok=True)
                    left -= size
        return left


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def reference_sha256(image: Image) -> str:
    """SHA-256 of ``<width>x<height>``, a line feed, and the RGB bytes, rows from the top."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode("ascii"))
    digest.update(image.tobytes())
    return digest.hexdigest()


def load(path: Path, wanted: ReferenceImage) -> Image:
    """The reference at ``path`` as an RGB image, if its pixels are still ``wanted``.

    Raises:
        UnusableReference: it is not there, cannot be read, or is another picture.
    """
    try:
        data = atomic.read_file(path, _MAX_KEPT)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnusableReference(f"it cannot be read ({reason})", _GIVE_AGAIN) from error
    image = decoding.kept(data)
    if image.mode != "RGB" or reference_sha256(image) != wanted.sha256:
        raise UnusableReference("its pixels are not those the plan names", _GIVE_AGAIN)
    return image
