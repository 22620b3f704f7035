"""Every file of the library: what it is, remembered while it does not change.

A warm scan lists the folders and asks the state once; only new or changed files are opened, by
several threads at a time.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.errors import HeaderError, WeightsError
from studio.library.files import read_inspection
from studio.library.folder import INDEX, read_object
from studio.library.state import Stamp, State, key_of, stamp_of
from studio.settings import BUILT_IN_PRESETS, Settings

SUFFIX = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
READERS = 8
BATCH = 500
"""Headers that are read before what they say is remembered: a scan that is ended goes on."""
_FORMAT = 2
"""Counted up whenever ``Facts`` changes: what was remembered before is read anew."""

KNOWN_FOLDERS = (
    "loras", "checkpoints", "diffusion_models", "unet", "models",
)  # fmt: skip
"""Below MODEL_BASE_PATH, where the studio, ComfyUI and A1111 keep weights. Only these are looked
into where nobody set MODEL_BASE_PATH, which then is whatever folder the studio is started in."""
_NOT_OURS = frozenset({"venv", "site-packages", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is, from its header alone.

    Attributes:
        kind: as ``LoraInspection``; ``model`` is a folder in diffusers layout, ``pickle`` a
            format that can run code, which is never opened.
        architecture, variant, format, candidates: as ``LoraInspection``.
        problem: why it cannot be told what it is, or why no base can take it.
        pipeline: of a model, the class that its index names.
        title, trigger: ``modelspec.title`` and ``modelspec.trigger_phrase``.
        tag: the tag that stands in nearly every caption (``ss_tag_frequency``), if any.
    """

    kind: str = ""
    architecture: str = ""
    variant: str | None = None
    format: str = ""
    candidates: tuple[str, ...] = ()
    problem: str | None = None
    pipeline: str = ""
    title: str = ""
    trigger: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A file that lies there, or a model's folder.

    Attributes:
        root: the folder of the library that it lies under.
        path: below ``root``, ``/``-separated.
        stamp: of the file; of a model's folder, that of its index.
        sha256: where it is known; a scan hashes nothing.
    """

    root: str
    path: str
    stamp: Stamp
    verdict: Facts
    sha256: str | None

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


Progress = Callable[[int, int], None]
"""(files read, files to read), after each."""
Found = tuple[str, str, Stamp, str]
"""Root, path below it, stamp, and the file that was looked at."""


def scan(settings: Settings, state: State, progress: Progress | None = None) -> tuple[Held, ...]:
    """Every safetensors file, pickle and model's folder of the library.

    What lies inside a model's folder is part of it. Hidden names are left out, and so are links
    that lead out of their folder of the library.

    Raises:
        WeightsError: the studio's own state cannot be used.
    """
    found = list(walk(settings))
    keys = {place: key_of(place) for *_, place in found}
    known = _remembered(state, keys.values())
    fresh = [each for each in found if known.get(keys[each[3]], (None,))[0] != each[2]]
    for start in range(0, len(fresh), BATCH):
        batch = fresh[start : start + BATCH]
        rows = []
        with ThreadPoolExecutor(READERS) as readers:
            facts = readers.map(_look, (place for *_, place in batch))
            for count, (each, said) in enumerate(zip(batch, facts, strict=True), start + 1):
                rows.append((keys[each[3]], each[2], _spelled(said)))
                known[keys[each[3]]] = (each[2], said)
                if progress is not None:
                    progress(count, len(fresh))
        state.remember_headers(rows)
    sums = state.hashes()
    return tuple(
        Held(root, relative, stamp, known[keys[place]][1], _same(sums.get(keys[place]), stamp))
        for root, relative, stamp, place in found
    )


def walk(settings: Settings) -> Iterator[Found]:
    """What ``scan`` looks at, sorted by path within each folder of the library."""
    for root in settings.library_folders:
        starts = [""] if settings.whole_library else [f"{name}/" for name in KNOWN_FOLDERS]
        found: list[Found] = []
        for start in starts:
            found += _walk(str(root), os.path.join(root, start), start)  # noqa: PTH118
        yield from sorted(found)


def _same(known: tuple[Stamp, str] | None, stamp: Stamp) -> str | None:
    return known[1] if known is not None and known[0] == stamp else None


def _walk(root: str, folder: str, relative: str) -> Iterator[Found]:
    """Folders that may not be read are passed over."""
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except OSError:
        return
    index = next((entry for entry in entries if entry.name == INDEX), None)
    if index is not None:
        if relative and not index.is_symlink() and index.is_file():
            yield root, relative.rstrip("/"), stamp_of(index.stat()), index.path
        return
    for entry in entries:
        if _is_left_out(entry):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, entry.path, f"{relative}{entry.name}/")
            elif entry.name.lower().endswith((SUFFIX, *PICKLES)) and _is_inside(entry, root):
                yield root, f"{relative}{entry.name}", stamp_of(entry.stat()), entry.path
        except OSError:
            continue  # it vanished, or is a link to nothing


def _is_left_out(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".") or entry.name in _NOT_OURS
    return hidden or entry.path == str(BUILT_IN_PRESETS)


def _is_inside(entry: os.DirEntry[str], root: str) -> bool:
    """A file of its own, or a link to one below the same root."""
    if not entry.is_symlink():
        return entry.is_file()
    return entry.is_file() and Path(entry.path).resolve().is_relative_to(Path(root).resolve())


def _look(place: str) -> Facts:
    path = Path(place)
    if path.suffix.lower() in PICKLES:
        return Facts(kind="pickle")
    try:
        if path.name == INDEX:
            return Facts(kind="model", pipeline=str(read_object(path).get("_class_name", ""))[:80])
        found = read_inspection(path)
    except HeaderError as error:
        return Facts(problem=f"{error.reason}.")
    except WeightsError as error:
        return Facts(problem=error.message)
    trigger = found.claims.get("modelspec.trigger_phrase", "")
    hints = [hint for hint in found.trigger_hints if hint != trigger]
    return Facts(
        kind=found.kind,
        architecture=found.architecture,
        variant=found.variant,
        format=found.format,
        candidates=found.candidates,
        problem=" ".join(found.problems) or None,
        title=found.claims.get("modelspec.title", ""),
        trigger=trigger,
        tag=hints[0] if hints else "",
    )


def _spelled(facts: Facts) -> str:
    said = {name: value for name, value in asdict(facts).items() if value}
    return json.dumps({"as": _FORMAT, **said})


def _remembered(state: State, keys: Iterable[str]) -> dict[str, tuple[Stamp, Facts]]:
    wanted = set(keys)
    found = {}
    for path, (stamp, text) in state.headers().items():
        said = json.loads(text) if path in wanted else {}
        if said.pop("as", None) == _FORMAT:
            said["candidates"] = tuple(said.get("candidates", ()))
            found[path] = (stamp, Facts(**said))
    return found


def forget_absent(state: State, present: Sequence[Held]) -> int:
    """Drop what is remembered of files that are gone; how many."""
    there = {key_of(held.name) for held in present}
    there |= {key_of(held.place / INDEX) for held in present if held.verdict.kind == "model"}
    gone = [path for path in state.headers() if path not in there]
    state.forget_headers(gone)
    return len(gone)
