"""The picture files of a gallery, and the index that follows them."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from studio.contract.receipt import RunRecord
from studio.errors import GalleryError
from studio.gallery import record_png
from studio.gallery.comparisons.files import SHEET_SUFFIX
from studio.gallery.index import PictureIndex
from studio.gallery.index_file import ABSENT, IndexBroken
from studio.gallery.row import FileStamp, Filter, Picture, Row, Tag
from studio.gallery.thumbnails import Thumbnails
from studio.gallery.walk import NEVER_READ, walk
from studio.imaging.references import FOLDER
from studio.storage import atomic

SUFFIX = ".png"

_log = logging.getLogger("studio.gallery.followed_files")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A PNG file in the outputs that is not a picture of the studio, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a look at the files changed: pictures read, rows removed, files not readable."""

    read: int
    removed: int
    unreadable: tuple[Unreadable, ...]


class FollowedFiles:
    """Compares the index with the files, and makes it anew where it is broken. The pictures
    that it gives are really there.

    Args:
        reviewed: fingerprint of a record → what the decisions on it say.
        filled: called once a broken index was made anew and has its pictures: fills in the rest.
    """

    def __init__(
        self,
        outputs: Path,
        index: PictureIndex,
        thumbnails: Thumbnails,
        reviewed: Callable[[str], tuple[Tag, ...]],
        filled: Callable[[], None],
    ) -> None:
        self._outputs = outputs
        self._index = index
        self._thumbnails = thumbnails
        self._reviewed = reviewed
        self._filled = filled

    def row(self, name: str, found: FileStamp, record: RunRecord) -> Row:
        """What the index keeps of a picture."""
        return Row.of(name, found, record, self._reviewed(record.fingerprint))

    def sync(self) -> Reindexed:
        """Read what is new or changed, forget what is gone."""
        return self._read_files(*self.indexed(self._unlike))

    def reread(self) -> Reindexed:
        """As ``sync``, but read every file again, and clear up after killed writers."""
        self.prepare()
        now = time.time()
        for folder in {(self._outputs / name).parent for name, _ in self._stamps()}:
            atomic.discard_stale_parts(folder, now)
        known = self.indexed(self._index.stamps)
        return self._read_files(dict(self._stamps()), dict.fromkeys(known, NEVER_READ))

    def prepare(self) -> None:
        """Make the index anew when it is missing, damaged or of another release."""
        reason = self._index.prepare()
        if reason is not None:
            level = logging.INFO if reason == ABSENT else logging.WARNING
            _log.log(level, "a new index is made from the pictures: %s", reason)

    def indexed(self, operation: Callable[[], _T]) -> _T:
        """``operation`` on a sound index: a broken one is made anew, once, and filled."""
        try:
            return operation()
        except IndexBroken as error:
            _log.warning("%s", error.message)
        self.prepare()
        self._read_files(*self._unlike())
        self._filled()
        return operation()

    def _unlike(self) -> tuple[dict[str, FileStamp], dict[str, FileStamp]]:
        """The files of folders that changed, and what the index knows of these folders."""
        return self._index.unlike(self._stamps())

    def _read_files(self, there: dict[str, FileStamp], known: dict[str, FileStamp]) -> Reindexed:
        """Read the files whose stamp is not the known one, and write the index once."""
        rows: list[Row] = []
        unreadable: list[Unreadable] = []
        for name, found in there.items():
            if known.get(name) != found:
                try:
                    rows.append(
                        self.row(name, found, record_png.read_record(self._outputs / name))
                    )
                except GalleryError as error:
                    unreadable.append(Unreadable(self._outputs / name, error.message))
        gone = [n for n in known if n not in there and not (self._outputs / n).is_file()]
        gone += [self._name(each.path) for each in unreadable if self._name(each.path) in known]
        if rows or gone:
            self._index.change(add=rows, remove=gone)
            self.forget_thumbnails(gone)
            _log.info("index brought up to date: %d read, %d removed", len(rows), len(gone))
        for each in unreadable:
            _log.warning("not in the gallery: %r: %s", str(each.path), each.reason)
        return Reindexed(len(rows), len(gone), tuple(unreadable))

    def _stamps(self) -> Iterator[tuple[str, FileStamp]]:
        """Every picture's file; a contact sheet is its comparison's, and a
        reference no picture of ours."""
        found = walk(self._outputs, SUFFIX)
        return (each for each in found if is_picture(each[0]))

    def pictures(self, wanted: Filter, limit: int, beyond: int | None) -> list[Picture]:
        """At most ``limit`` pictures that are really there, newest first, those after the place
        ``beyond``."""
        found: list[Picture] = []
        while len(found) < limit:
            asked = limit - len(found)
            page = self._page(wanted, asked, beyond)
            found += self._still_there(page)
            if len(page) < asked:
                break
            beyond = page[-1].place
        return found

    def _page(self, wanted: Filter, limit: int, beyond: int | None) -> list[Picture]:
        def read() -> list[Picture]:
            places = self._index.places(wanted, "pictures", limit, beyond, newest_first=True)
            found = self._index.at(place for place, _ in places)
            return [found[place] for place, _ in places if place in found]

        return self.indexed(read)

    def having(
        self, column: Literal["fingerprint", "record", "pixels"], value: str
    ) -> list[Picture]:
        """As ``PictureIndex.having``, those that are really there."""
        return self._still_there(self.indexed(lambda: self._index.having(column, value)))

    def _still_there(self, page: list[Picture]) -> list[Picture]:
        """The pictures whose files are there; what was deleted by hand is forgotten."""
        there = [each for each in page if each.path.is_file()]
        gone = [each.name for each in page if each not in there]
        if gone:
            _log.info("deleted outside the studio: %s", ", ".join(gone))
            self.indexed(lambda: self._index.change(remove=gone))
            self.forget_thumbnails(gone)
        return there

    def forget_thumbnails(self, names: list[str]) -> None:
        """Of the pictures with these names, which are gone."""
        with atomic.storing(self._outputs):
            for name in names:
                self._thumbnails.remove(name)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._outputs).as_posix()


def is_picture(name: str) -> bool:
    """Whether a name, relative to the outputs, is one that a picture can have."""
    aside = name.endswith(SHEET_SUFFIX) or name.startswith(f"{FOLDER}/")
    return name.endswith(SUFFIX) and not aside
