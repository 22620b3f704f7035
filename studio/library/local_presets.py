"""``presets/local.yaml``: the one preset file that the studio writes.

Entries are put in, replaced and taken out as a whole; the file is replaced in one step. Files
that people write are never touched.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from studio.errors import PresetsError
from studio.library.preset_files import read
from studio.presets import LoraPreset, ModelPreset
from studio.presets.parse import KINDS
from studio.presets.yaml_text import write_yaml
from studio.storage import atomic

Preset = ModelPreset | LoraPreset
WAIT_SECONDS = 10.0
_HEADER = """\
# The studio's own presets: added and edited in the Models tab and with `studio presets add`.
# An entry here goes over one of the same slug elsewhere. Comments are not kept.
"""


class LocalPresets:
    """The file at ``path``, there or not; safe for several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, preset: Preset) -> None:
        """Add an entry, or replace the one of the same slug.

        Raises:
            PresetsError: the file has problems, or cannot be written.
        """
        part = "models" if isinstance(preset, ModelPreset) else "loras"
        with self._locked():
            whole = self._without(preset.slug)
            whole[part].append(entry_of(preset))
            self._write(whole)

    def remove(self, slug: str) -> None:
        """Take an entry out.

        Raises:
            PresetsError: it is not there, the file has problems, or cannot be written.
        """
        with self._locked():
            before = self._entries()
            whole = self._without(slug)
            if whole == before:
                raise PresetsError(
                    f"{slug} is not in {self.path.name}, so the studio does not remove it.",
                    "Edit the file that holds it.",
                )
            self._write(whole)

    def _entries(self) -> dict[str, list[Any]]:
        """What the file holds.

        Raises:
            PresetsError: something in it would be lost by writing it anew.
        """
        if not self.path.exists():
            return {part: [] for part in KINDS}
        parsed = read(self.path)
        if parsed.problems:
            raise PresetsError(
                f"{self.path.name} has a problem: {parsed.problems[0].describe()}",
                "Mend it first; the studio writes nothing over it.",
            )
        value = parsed.located.value if parsed.located else None
        held = value if isinstance(value, dict) else {}
        return {part: list(held.get(part) or []) for part in KINDS}

    def _without(self, slug: str) -> dict[str, list[Any]]:
        return {
            part: [entry for entry in entries if entry.get("slug") != slug]
            for part, entries in self._entries().items()
        }

    def _write(self, whole: dict[str, list[Any]]) -> None:
        text = _HEADER + write_yaml({part: entries for part, entries in whole.items() if entries})
        atomic.overwrite(self.path, text.encode("utf-8"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Writers take turns through SQLite's lock, which a crash frees on every system."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(lock, WAIT_SECONDS, isolation_level=None)) as db:
                db.execute("BEGIN EXCLUSIVE")
                yield
        except (OSError, sqlite3.Error) as error:
            raise PresetsError(
                f"{self.path} cannot be written: {error}.",
                "Let the studio write there, or set LOCAL_PRESETS to another file.",
            ) from error


def entry_of(preset: Preset) -> dict[str, Any]:
    """The entry as a person would write it: nothing that the schema knows by itself."""
    entry = preset.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return {name: entry[name] for name in type(preset).model_fields if name in entry}
