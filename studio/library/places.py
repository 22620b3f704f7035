"""Where downloads without a path of their own were put: ``memory_key`` → path below
MODEL_BASE_PATH.

Only a memory: a lost file costs another download, so a broken one counts as empty.
"""

import json
import threading
from pathlib import Path

from studio.errors import WeightsError
from studio.presets.rules import inside
from studio.storage import atomic


class Places:
    """The places in ``path``; several processes may use it, the last to write wins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, str] = {}

    def of(self, key: str) -> str | None:
        """Where the weights were put that ``key`` stands for; None where they never were."""
        return self.all().get(key)

    def all(self) -> dict[str, str]:
        """Read again only when the file has changed: lists ask for thousands at once."""
        try:
            status = self._path.stat()
        except OSError:
            return {}
        stamp = (status.st_mtime_ns, status.st_size)
        with self._lock:
            if stamp != self._stamp:
                self._known, self._stamp = _read(self._path), stamp
            return self._known

    def put(self, key: str, place: str) -> None:
        """Remember a place.

        Raises:
            WeightsError: the file cannot be written.
        """
        known = {**self.all(), key: inside(place)}
        text = json.dumps(known, indent=1, sort_keys=True) + "\n"
        try:
            atomic.overwrite(self._path, text.encode("utf-8"))
        except OSError as error:
            raise WeightsError(
                f"{self._path} cannot be written: {error.strerror or error}.",
                "Let the studio write there, or set STATE_DIR to another folder.",
                self._path,
            ) from error


def _read(path: Path) -> dict[str, str]:
    try:
        said = json.loads(path.read_text("utf-8"))
        return {str(key): inside(str(place)) for key, place in said.items()}
    except (OSError, ValueError, AttributeError):
        return {}
