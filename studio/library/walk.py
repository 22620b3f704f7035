"""What lies in the folders of the library: weights, models' folders and what lies beside them.

Folders are listed and links judged; nothing is opened.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from studio.architecture.diffusers_folder import INDEX
from studio.library.reading import PICKLES, SUFFIX, Facts
from studio.library.sidecars import SUFFIXES
from studio.library.state import key_of
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.storage.atomic import Stamp, stamp_of

KNOWN_FOLDERS = ("loras", "checkpoints", "diffusion_models", "unet", "models")
"""Below MODEL_BASE_PATH, where the studio, ComfyUI and A1111 keep weights. Only these are looked
into where nobody set MODEL_BASE_PATH, which then is whatever folder the studio is started in."""
_NOT_OURS = frozenset({"venv", "site-packages", "node_modules", "__pycache__"})

Looked = tuple[str, str, Stamp]
"""A file that was looked at: its whole path, the same as ``key_of`` spells it, its stamp."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """Something that ``scan`` looks at.

    Attributes:
        path: below ``root``.
        looked: the file itself, or the index of a model's folder.
        beside: its sidecars.
        told: what is known without a look at it: a link that is not followed.
    """

    root: str
    path: str
    looked: Looked
    beside: tuple[Looked, ...] = ()
    told: Facts | None = field(default=None, compare=False)


def walk(settings: Settings) -> Iterator[Found]:
    """What ``scan`` looks at, sorted by path within each folder of the library."""
    for root in settings.library_folders:
        starts = [""] if settings.whole_library else [f"{name}/" for name in KNOWN_FOLDERS]
        found: list[Found] = []
        links = _Links(settings, str(root), starts)
        for start in starts:
            found += _walk(str(root), os.path.join(root, start), start, links)  # noqa: PTH118
        yield from sorted(found)


def walk_one(settings: Settings, root: str, name: str) -> Iterator[Found]:
    """The same of one file, or one model's folder, of ``root``; nothing where it has none."""
    place = os.path.join(root, name)  # noqa: PTH118
    if Path(place).is_dir():
        yield from _walk(root, place, f"{name}/", _Links(settings, root, [name]))
        return
    with os.scandir(root) as listed:
        names = {entry.name: entry for entry in listed}
    if name in names and name.lower().endswith((SUFFIX, *PICKLES)):
        yield Found(root, name, _looked(names[name]), _beside(name, names))


class _Links:
    """Where the links of one folder of the library lead, and whether they are followed."""

    def __init__(self, settings: Settings, root: str, starts: Sequence[str]) -> None:
        allowed = (Path(root), *settings.library_folders, *settings.linked_folders)
        self._allowed = [Path(os.path.realpath(folder)) for folder in allowed]
        self._walked = [Path(os.path.realpath(os.path.join(root, each))) for each in starts]  # noqa: PTH118

    def problem(self, entry: os.DirEntry[str]) -> Facts | None:
        """Why a link is not followed."""
        if not entry.is_symlink():
            return None
        target = Path(os.path.realpath(entry.path))
        if not target.exists():
            return Facts(problem=f"It is a link to nothing: {target} is not there.")
        if not any(target.is_relative_to(each) for each in self._allowed):
            way_out = "To use it, name that folder in LINKED_FOLDERS."
            return Facts(problem=f"It is a link out of the library, to {target}. {way_out}")
        here = Path(os.path.realpath(os.path.dirname(entry.path)))  # noqa: PTH120
        if here.is_relative_to(target) and not self._is_walked(target):
            return Facts(problem=f"It is a link to a folder that it lies in, {target}.")
        return None

    def is_new(self, entry: os.DirEntry[str]) -> bool:
        """Whether a folder is still to be looked into, and not one that is looked into anyway."""
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if self._is_walked(target):
                return False
            self._walked.append(target)
        return True

    def _is_walked(self, target: Path) -> bool:
        return any(target.is_relative_to(each) for each in self._walked)


def _walk(root: str, folder: str, relative: str, links: _Links) -> Iterator[Found]:
    """Folders that may not be read are told of."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except PermissionError as error:
        told = Facts(problem=f"It cannot be looked into: {error.strerror}.")
        looked = (folder, key_of(folder), stamp_of(Path(folder).stat()))
        yield Found(root, relative.rstrip("/") or ".", looked, told=told)
        return
    except OSError:
        return  # it is not there
    index = next((entry for entry in entries if entry.name == INDEX), None)
    if index is not None:
        if relative and (index.is_file() or index.is_symlink()):
            yield _found(root, relative.rstrip("/"), index, links.problem(index))
        return
    names = {entry.name: entry for entry in entries}
    for entry in entries:
        if _is_left_out(entry):
            continue
        try:
            yield from _entry(root, f"{relative}{entry.name}", entry, names, links)
        except OSError:
            continue  # it vanished


def _entry(
    root: str,
    path: str,
    entry: os.DirEntry[str],
    names: Mapping[str, os.DirEntry[str]],
    links: _Links,
) -> Iterator[Found]:
    told = links.problem(entry)
    is_weights = entry.name.lower().endswith((SUFFIX, *PICKLES))
    if told is not None:
        if is_weights or "." not in entry.name or entry.is_dir():
            yield _found(root, path, entry, told)
    elif entry.is_dir():
        if links.is_new(entry):
            yield from _walk(root, entry.path, f"{path}/", links)
    elif is_weights and entry.is_file():
        yield _found(root, path, entry, None, _beside(entry.name, names))


def _found(
    root: str,
    path: str,
    entry: os.DirEntry[str],
    told: Facts | None,
    beside: tuple[Looked, ...] = (),
) -> Found:
    return Found(root, path, _looked(entry, follow=told is None), beside, told)


def _beside(name: str, names: Mapping[str, os.DirEntry[str]]) -> tuple[Looked, ...]:
    stem = name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name
    there = (names.get(stem + suffix) for suffix in SUFFIXES)
    return tuple(_looked(each) for each in there if each is not None and each.is_file())


def _looked(entry: os.DirEntry[str], follow: bool = True) -> Looked:
    status = entry.stat(follow_symlinks=follow)
    return entry.path, key_of(entry.path), stamp_of(status)


def _is_left_out(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".") or entry.name in _NOT_OURS
    return hidden or entry.path == str(BUILT_IN_PRESETS)
