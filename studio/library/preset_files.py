"""Reads folders of preset files. Effect: the disk, nothing else."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.presets import Catalog
from studio.presets.parse import ParsedPresets, PresetProblem, merge, parse

SUFFIXES = frozenset({".yaml", ".yml", ".json"})

MAX_BYTES = 64 * 2**20
"""Largest preset file that is read; 10,000 LoRAs take about 5 MB."""


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
