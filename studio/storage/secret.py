"""Files that only the studio's own user may read."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from studio.storage import atomic


def make_once(place: Path, made: Callable[[], bytes]) -> Path:
    """``place`` with what ``made`` gives, whole or not at all; of two makers the first counts.

    Raises:
        OSError: when the disk does not take it.
    """
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{secrets.token_hex(8)}{atomic.PART}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(made())
            stream.flush()
            os.fsync(stream.fileno())
        if not place.exists():
            os.link(part, place)
    except FileExistsError:
        return place
    finally:
        part.unlink(missing_ok=True)
    atomic.sync_folder(place.parent)
    return place
