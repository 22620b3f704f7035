"""Every file of the library: what it is, remembered while it does not change.

A warm scan lists the folders and asks the state once; only new or changed files are opened.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from studio.architecture.diffusers_folder import INDEX
from studio.library.reading import Facts, is_current, parsed, read_all
from studio.library.sidecars import SUFFIXES, Sidecar, of_publisher
from studio.library.state import AnswerOf, Stamped, State, key_of
from studio.library.walk import Found, walk, walk_one
from studio.settings import Settings
from studio.storage.atomic import Stamp

BATCH = 500
"""Headers that are read before what they say is remembered: a scan that is ended goes on."""


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
        found += walk_one(settings, root, name)
    return _looked_into(found, state, progress)


def look(settings: Settings, state: State, file: Path) -> Held:
    """The same of one safetensors file, wherever it lies.

    Raises:
        WeightsError: as ``scan``.
    """
    (held,) = _looked_into(list(walk_one(settings, str(file.parent), file.name)), state, None)
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


def _same(known: tuple[Stamp, str] | None, stamp: Stamp) -> str | None:
    return known[1] if known is not None and known[0] == stamp else None


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
