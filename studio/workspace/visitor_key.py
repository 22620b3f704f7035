"""The key that names what is a visitor's, so that nobody else can tell whose it is."""

import hashlib
import hmac
import secrets
from pathlib import Path

from studio.errors import GalleryError
from studio.storage import atomic
from studio.storage.secret import make_once

KEY_FILE = "visitors.key"
_KEY_BYTES = 32
_NAME = 40
"""Hexadecimal digits of a name: 160 bits."""


class VisitorKey:
    """The key in the studio's state; it is read, or made, when it is first used."""

    def __init__(self, state: Path) -> None:
        self._place = state / KEY_FILE
        self._key: bytes | None = None

    def named(self, text: str) -> str:
        """The name of ``text``: always the same, and nobody without the key can make it.

        Raises:
            GalleryError: the key cannot be read or made.
        """
        return hmac.new(self._secret(), text.encode(), hashlib.sha256).hexdigest()[:_NAME]

    def has_named(self, text: str, name: str) -> bool:
        """Whether ``name`` is that of ``text``; how long it takes does not tell how nearly.

        Raises:
            GalleryError: as ``named``.
        """
        return hmac.compare_digest(name.encode(), self.named(text).encode())

    def _secret(self) -> bytes:
        if self._key is None:
            try:
                make_once(self._place, lambda: secrets.token_bytes(_KEY_BYTES))
                key = atomic.read_file(self._place, _KEY_BYTES + 1)
            except OSError as error:
                raise GalleryError(
                    f"The key of the visitors' galleries, {self._place}, cannot be read or made: "
                    f"{error.strerror or error}.",
                    "Let the studio read and write it.",
                ) from error
            if len(key) != _KEY_BYTES:
                raise GalleryError(
                    f"The key of the visitors' galleries, {self._place}, is not one.",
                    "Take it from a copy; without it nobody finds their pictures again.",
                )
            self._key = key
        return self._key
