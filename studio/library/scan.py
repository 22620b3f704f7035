"""Every file of the library: what it is, remembered while it does not change.

A warm scan lists the folders and asks the state once; only new or changed files are opened.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from studio.architecture.diffusers_folder import INDEX
from studio.library.reading import PICKLES, SUFFIX, Facts, is_current, parsed, read_all
from studio.library.sidecars import SUFFIXES, Sidecar, of_publisher
from studio.library.state import AnswerOf, Stamped, State, key_of
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.storage.atomic import Stamp, stamp_of

BATCH = 500
"""Headers that are read before what they say is remembered: a scan that is ended goes on."""

KNOWN_FOLDERS = ("loras", "checkpoints", "diffusion_models", "unet", "models")
"""Below MODEL_BASE_PATH, where the studio, ComfyUI and A1111 keep weights. Only these are looked
into where nobody set MODEL_BASE_PATH, which then is whatever folder the studio is started in."""
_NOT_OURS = frozenset({"venv", "site-packages", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Held:
    """A file that lies there, or a model's folder.

    Attributes:
        root: the folder of the library that it lies under.
        path: below ``root``, ``/``-separated.
        key: the whole path, as ``key_of`` spells it.
        stamp: of the file; of a model's folder, that of its index.
        sha256: where it is known; a scan hashes nothing.
        said: by what lies beside it, in the order in which it counts, then by a site that
            was asked.
        unread: a sentence for each of what lies beside it that cannot be read.
    """

    root: str
    path: str
    key: str
    stamp: Stamp
    verdict: Facts
    sha256: str | None
    said: tuple[Sidecar, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes; of a model's folder, those of its index."""
        return self.stamp[0]

    @property
    def name(self) -> str:
        """The whole path; as text, because pathlib would take most of the time for thousands."""
        return os.path.join(self.root, self.path)  # noqa: PTH118

    @property
    def place(self) -> Path:
        return Path(self.root, self.path)


FileProgress = Callable[[int, int], None]
"""(files read, files to read), after each."""
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


def scan(
    settings: Settings,
    state: State,
    progress: FileProgress | None = None,
    more: Sequence[tuple[str, str]] = (),
) -> tuple[Held, ...]:
    """Every safetensors file, pickle and model's folder of the library.

    What lies inside a model's folder is part of it. Hidden names are left out. Links are followed
    into every folder of the library and into LINKED_FOLDERS; any other is told of as it is.

    Args:
        more: (folder, name) of files, or models' folders, that lie elsewhere.

    Raises:
        WeightsError: the studio's own state cannot be used.
    """
    found = list(walk(settings))
    for root, name in more:
        found += _one(settings, root, name)
    return _looked_into(found, state, progress)


def look(settings: Settings, state: State, file: Path) -> Held:
    """The same of one safetensors file, wherever it lies.

    Raises:
        WeightsError: as ``scan``.
    """
    (held,) = _looked_into(list(_one(settings, str(file.parent), file.name)), state, None)
    return held


def _looked_into(
    found: Sequence[Found], state: State, progress: FileProgress | None
) -> tuple[Held, ...]:
    unknown = (each for each in found if each.told is None)
    files = [looked for each in unknown for looked in (each.looked, *each.beside)]
    known = _remembered(state, {key for _, key, _ in files})
    fresh = [each for each in files if known.get(each[1], (None,))[0] != each[2]]
    with closing(read_all([place for place, *_ in fresh])) as texts:
        for start in range(0, len(fresh), BATCH):
            rows = []
            for (_, key, stamp), text in zip(fresh[start : start + BATCH], texts, strict=False):
                rows.append((key, stamp, text))
                known[key] = (stamp, parsed(text))
                if progress is not None:
                    progress(start + len(rows), len(fresh))
            state.remember_headers(rows)
    sums, answers = state.hashes(), state.answers()
    return tuple(_held(each, known, sums, answers) for each in found)


def _held(
    found: Found,
    known: Mapping[str, tuple[Stamp, object]],
    sums: Stamped,
    answers: Mapping[str, AnswerOf],
) -> Held:
    place, key, stamp = found.looked
    facts = found.told or known[key][1]
    assert isinstance(facts, Facts)
    beside = (known[each][1] for _, each, _ in found.beside)
    said = [each for each in beside if isinstance(each, Sidecar)]
    unread = tuple(each.sentence for each in said if each.problem)
    sha256 = _same(sums.get(key), stamp)
    own = tuple(each for each in said if not each.problem and _is_of(each, sha256))
    answer = answers.get(sha256 or "")
    if answer is not None and answer.published:
        told = of_publisher(json.loads(answer.published))
        own += () if any(each.who == told.who for each in own) else (told,)
    own_key = key if facts.kind != "model" else key_of(os.path.dirname(place))  # noqa: PTH120
    return Held(found.root, found.path, own_key, stamp, facts, sha256, own, unread)


def _is_of(said: Sidecar, sha256: str | None) -> bool:
    """Whether nothing shows that other bytes are meant."""
    return not said.sha256 or sha256 is None or said.sha256 == sha256


def walk(settings: Settings) -> Iterator[Found]:
    """What ``scan`` looks at, sorted by path within each folder of the library."""
    for root in settings.library_folders:
        starts = [""] if settings.whole_library else [f"{name}/" for name in KNOWN_FOLDERS]
        found: list[Found] = []
        links = _Links(settings, str(root), starts)
        for start in starts:
            found += _walk(str(root), os.path.join(root, start), start, links)  # noqa: PTH118
        yield from sorted(found)


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


def _one(settings: Settings, root: str, name: str) -> Iterator[Found]:
    place = os.path.join(root, name)  # noqa: PTH118
    if Path(place).is_dir():
        yield from _walk(root, place, f"{name}/", _Links(settings, root, [name]))
        return
    with os.scandir(root) as listed:
        names = {entry.name: entry for entry in listed}
    if name in names and name.lower().endswith((SUFFIX, *PICKLES)):
        yield Found(root, name, _looked(names[name]), _beside(name, names))


def _same(known: tuple[Stamp, str] | None, stamp: Stamp) -> str | None:
    return known[1] if known is not None and known[0] == stamp else None


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


def _remembered(
    state: State, wanted: Collection[str]
) -> dict[str, tuple[Stamp, Facts | Sidecar | None]]:
    return {
        path: (stamp, parsed(text))
        for path, (stamp, text) in state.headers().items()
        if path in wanted and is_current(text)
    }


def forget_absent(state: State, present: Sequence[Held]) -> int:
    """Drop what is remembered of files that are gone; how many."""
    there = {held.key for held in present}
    there |= {key_of(held.place / INDEX) for held in present if held.verdict.kind == "model"}
    gone = [path for path in state.headers() if path not in there and not path.endswith(SUFFIXES)]
    state.forget_headers(gone)
    return len(gone)
