"""Preset files: folders of them, read; and ``presets/local.yaml``, the one the studio writes.

There, entries are put in, replaced and taken out as a whole; the file is replaced in one step.
Files that people write are never touched.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from studio.errors import PresetsError
from studio.presets import Catalog, ModelPreset, Preset
from studio.presets.parse import KINDS, ParsedPresets, PresetProblem, merge, parse
from studio.presets.text import write_yaml
from studio.storage import atomic

SUFFIXES = frozenset({".yaml", ".yml", ".json"})

MAX_BYTES = 64 * 2**20
"""Largest preset file that is read; 10,000 LoRAs take about 5 MB."""
WAIT_SECONDS = 10.0
_HEADER = """\
# The studio's own presets: added and edited in the Models tab and with `studio presets add`.
# It overrides entries with the same slug elsewhere. Comments are not kept.
"""


def load(
    dirs: Iterable[Path], local: Path | None = None
) -> tuple[Catalog, tuple[PresetProblem, ...]]:
    """Every sound preset of ``dirs``, and what is wrong with the rest.

    Folders are read in order and not below themselves, their files by name; a slug belongs to
    the first file that has it. A folder or file that cannot be read is a problem, not an error.

    Args:
        local: the studio's own file, there or not, whose entries go over all others.
    """
    parsed: list[ParsedPresets] = []
    seen: set[Path] = set()
    for folder in dirs:
        resolved = folder.resolve()
        if resolved not in seen:
            seen.add(resolved)
            parsed.extend(_read_folder(folder, local))
    return merge(parsed, read(local) if local is not None and local.exists() else None)


def read(path: Path) -> ParsedPresets:
    """The presets of one file; what cannot be read is a problem."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return _unreadable(path, f"The file is larger than {MAX_BYTES // 2**20} MiB.")
        return parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        return _unreadable(path, f"Byte {error.start} is not UTF-8 text.")
    except OSError as error:
        return _unreadable(path, f"It cannot be read: {error.strerror or error}.")


def _read_folder(folder: Path, local: Path | None) -> Iterator[ParsedPresets]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield _unreadable(folder, f"The folder cannot be read: {error.strerror or error}.")
        return
    for path in paths:
        # Editors leave hidden files beside the ones they write.
        hidden = path.name.startswith(".")
        if path == local:
            continue
        if path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir():
            yield read(path)


def _unreadable(path: Path, message: str) -> ParsedPresets:
    problem = PresetProblem(
        file=str(path),
        line=None,
        entry="",
        field="",
        message=message,
        way_out="Make it readable UTF-8 text, or take it out of the presets.",
    )
    return ParsedPresets((), (), (problem,), str(path))


class LocalPresets:
    """The file at ``path``, there or not; safe for several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, *presets: Preset) -> None:
        """Add entries, or replace those of the same slugs.

        Raises:
            PresetsError: the file has problems, or cannot be written.
        """
        with self._locked():
            whole = self._without(*(preset.slug for preset in presets))
            for preset in presets:
                part = "models" if isinstance(preset, ModelPreset) else "loras"
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

    def _without(self, *slugs: str) -> dict[str, list[Any]]:
        return {
            part: [entry for entry in entries if entry.get("slug") not in slugs]
            for part, entries in self._entries().items()
        }

    def _write(self, whole: dict[str, list[Any]]) -> None:
        text = _HEADER + write_yaml({part: entries for part, entries in whole.items() if entries})
        atomic.overwrite(self.path, text.encode("utf-8"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Writers take turns."""
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), WAIT_SECONDS)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock:
                yield
        except (OSError, Timeout) as error:
            raise PresetsError(
                f"{self.path} cannot be written: {error}.",
                "Let the studio write there, or set LOCAL_PRESETS to another file.",
            ) from error


def entry_of(preset: Preset) -> dict[str, Any]:
    """The entry as a person would write it: nothing that the schema knows by itself."""
    entry = preset.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return {name: entry[name] for name in type(preset).model_fields if name in entry}
