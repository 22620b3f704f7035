"""What CivitAI knows of the library's files by their SHA-256, and what is newer there.

Only hashes are sent, a hundred at a time, and only when somebody asks. Each answer is kept at
once: whoever is interrupted goes on where it ended.
"""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from studio.errors import HeaderError, WeightsError
from studio.library.catalogue import Holding
from studio.library.downloads import Downloads
from studio.library.downloads.civitai import CivitAI
from studio.library.downloads.civitai_answers import ListedModel
from studio.library.downloads.errors import RateLimited, StorageFault, UnexpectedAnswer
from studio.library.downloads.transfer import TransferCancelled, patiently
from studio.library.known_files import (
    Asked,
    as_newer,
    is_weights,
    known_file,
    newest_for,
)
from studio.library.state import AnswerOf
from studio.library.store import WeightStore

T = TypeVar("T")

BATCH = 100
"""Hashes, or models, of one question: the most that the site takes."""
TRIES = 4
LONGEST_WAIT = 120.0
"""Seconds. A site that asks for more is asked again another time."""
STILL_NEW = 3600.0
"""Seconds for which an answer about newer versions is not asked for again."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far something long is, in words and numbers."""

    what: str
    done: int
    count: int


@dataclass(slots=True)
class Identified:
    """What came of asking.

    Attributes:
        problems: (path, sentence) of files that could not be read.
    """

    known: Asked = ()
    problems: list[tuple[str, str]] = field(default_factory=list)


Stepwise = Generator[Step, None, T]


class Identifying:
    """Asks and remembers.

    Args:
        pause: seconds before a question that failed is put again, doubled each time.
    """

    def __init__(self, downloads: Downloads, store: WeightStore, pause: float = 1.0) -> None:
        self._downloads = downloads
        self._store = store
        self._pause = pause

    def run(
        self, holdings: Sequence[Holding], cancel: threading.Event, again: bool = False
    ) -> Stepwise[Identified]:
        """Hash, ask by hash what was never asked, and look for newer versions.

        Args:
            again: also ask about files that CivitAI did not know before.

        Raises:
            DownloadError: by its kind, after a few tries; what came before is kept.
            TransferCancelled: ``cancel`` was set.
        """
        found = Identified()
        hashed = yield from self._hashed(holdings, found, cancel)
        state = self._store.state
        answers = state.answers()
        open_ones = dict.fromkeys(
            sha256
            for sha256 in hashed.values()
            if sha256 not in answers or (again and not answers[sha256].published)
        )
        done = 0
        for batch in _batches(list(open_ones)):
            yield Step("Asking CivitAI", done, len(open_ones))
            state.put_answers((yield from self._named(batch, cancel)))
            done += len(batch)
        yield from self._renewed(set(hashed.values()), cancel)
        answers = state.answers()
        found.known = tuple(
            known_file(holding, hashed[holding.held.key], answers.get(hashed[holding.held.key]))
            for holding in holdings
            if holding.held.key in hashed
        )
        return found

    def remembered(self, holdings: Sequence[Holding]) -> Asked:
        """What was found out before about these files; asks nobody."""
        answers = self._store.state.answers()
        found = ((each, sha256, answers.get(sha256)) for each, sha256 in _sums(holdings))
        return tuple(known_file(*each) for each in found)

    def renew(self, holdings: Sequence[Holding], cancel: threading.Event) -> Stepwise[Asked]:
        """Look for newer versions of the files that were identified before.

        Raises:
            as ``run``.
        """
        yield from self._renewed({sha256 for _, sha256 in _sums(holdings)}, cancel)
        return self.remembered(holdings)

    def _hashed(
        self, holdings: Sequence[Holding], found: Identified, cancel: threading.Event
    ) -> Stepwise[dict[str, str]]:
        """Path, as ``key_of`` spells it → SHA-256."""
        hashed = {}
        files = [each for each in holdings if is_weights(each)]
        for number, each in enumerate(files):
            held = each.held
            if held.sha256 is not None:
                hashed[held.key] = held.sha256
                continue
            yield Step(f"Hashing {held.path}", number, len(files))
            try:
                hashed[held.key] = self._store.hashes(held.place, until(cancel)).sha256
            except (HeaderError, WeightsError) as error:
                found.problems.append((held.path, str(error)))
        return hashed

    def _named(
        self, batch: Sequence[str], cancel: threading.Event
    ) -> Stepwise[dict[str, AnswerOf]]:
        """What the site says of each hash; of one that it does not know, nothing."""
        civitai = self._downloads.civitai()
        versions = yield from self._ask(lambda: civitai.by_hashes(batch), cancel)
        models = yield from self._models([each.model_id for each in versions], cancel)
        now, told = time.time(), dict[str, AnswerOf]()
        for version in versions:
            listed = models.get(version.model_id)
            licence = () if listed is None else listed.licence
            for file in version.files:
                sha256 = file.sha256 or ""
                if sha256 in batch and sha256 not in told:
                    facts = civitai.published(version, file, licence)
                    told[sha256] = AnswerOf(now, facts.model_dump_json(exclude_none=True), "")
        nothing = AnswerOf(now, "", "")
        newer = self._newer(told, models, civitai)
        return {each: newer.get(each, nothing) for each in batch}

    def _renewed(self, present: set[str], cancel: threading.Event) -> Stepwise[None]:
        """Ask anew which versions are newer than the files that are present."""
        state = self._store.state
        due = {
            sha256: answer
            for sha256, answer in state.answers().items()
            if sha256 in present and answer.published and time.time() - answer.asked > STILL_NEW
        }
        done = 0
        for batch in _batches(list(due.items())):
            yield Step("Looking for newer versions", done, len(due))
            answers = dict(batch)
            numbers = [int(json.loads(each.published)["model_id"]) for each in answers.values()]
            models = yield from self._models(numbers, cancel)
            state.put_answers(self._newer(answers, models, self._downloads.civitai()))
            done += len(batch)

    def _models(
        self, numbers: Sequence[int], cancel: threading.Event
    ) -> Stepwise[dict[int, ListedModel]]:
        wanted = sorted(set(numbers))
        if not wanted:
            return {}
        civitai = self._downloads.civitai()
        return (yield from self._ask(lambda: civitai.models(wanted), cancel))

    def _newer(
        self,
        answers: Mapping[str, AnswerOf],
        models: Mapping[int, ListedModel],
        civitai: CivitAI,
    ) -> dict[str, AnswerOf]:
        now, told = time.time(), {}
        for sha256, answer in answers.items():
            own = json.loads(answer.published)
            model = models.get(int(own["model_id"]))
            newest = None if model is None else newest_for(own["version"], own, model)
            newer = ""
            if model is not None and newest is not None:
                page = civitai.page(model.id, newest.id)
                newer = json.dumps(asdict(as_newer(newest, page)))
            told[sha256] = AnswerOf(now, answer.published, newer)
        return told

    def _ask(self, question: Callable[[], T], cancel: threading.Event) -> Stepwise[T]:
        """Ask, and again after a while where the site is busy, broken or answers by halves."""
        for attempt in range(TRIES):
            try:
                return patiently(question, cancel)
            except (RateLimited, StorageFault, UnexpectedAnswer) as error:
                why = error
            wait = why.retry_after if isinstance(why, RateLimited) else None
            wait = self._pause * 2**attempt if wait is None else wait
            if attempt == TRIES - 1 or wait > LONGEST_WAIT:
                raise why
            yield Step(f"{why.message} Waiting {wait:.0f} s", attempt + 1, TRIES)
            if cancel.wait(wait):
                raise TransferCancelled
        raise AssertionError("unreachable")


def _sums(holdings: Sequence[Holding]) -> Iterator[tuple[Holding, str]]:
    for each in holdings:
        if each.held.sha256 is not None and is_weights(each):
            yield each, each.held.sha256


def _batches(of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(of), BATCH):
        yield of[start : start + BATCH]


def until(cancel: threading.Event) -> Callable[[int, int], None]:
    def look(_done: int, _size: int) -> None:
        if cancel.is_set():
            raise TransferCancelled

    return look
