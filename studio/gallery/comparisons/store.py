"""The comparisons of a gallery: kept, listed in place of their cells, opened, deleted."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image

from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.comparison.votes import BlindVote
from studio.errors import GalleryError
from studio.gallery.comparisons import files
from studio.gallery.comparisons.index import ComparisonIndex, ComparisonRow, StoredComparison
from studio.gallery.index import PictureIndex
from studio.gallery.row import FileStamp, Filter, Picture
from studio.gallery.search import Listed
from studio.gallery.walk import NEVER_READ, inside, stamp, walk
from studio.signing.sealing import Sealer
from studio.storage import atomic

_log = logging.getLogger("studio.gallery.comparisons.store")
_T = TypeVar("_T")

Item = Picture | StoredComparison


class Comparisons:
    """Comparisons under ``outputs``.

    Args:
        index: the gallery's.
        indexed: runs an operation on a sound index, made anew where it was broken.
        sealer: signs the contact sheets whose records say so.

    Raises:
        GalleryError: here and everywhere, when folder or index cannot be used.
    """

    def __init__(
        self,
        outputs: Path,
        index: PictureIndex,
        indexed: Callable[[Callable[[], object]], object],
        sealer: Sealer | None = None,
    ) -> None:
        self.outputs = outputs
        self._sealer = sealer
        self._pictures = index
        self._index = ComparisonIndex(index)
        self._indexed_any = indexed

    def _indexed(self, operation: Callable[[], _T]) -> _T:
        return self._indexed_any(operation)  # type: ignore[return-value]  # what it was given

    def save(self, record: ComparisonRecord, sheet: Image.Image) -> Path:
        """Keep a comparison; the path of its record. Earlier ones of the same plan that were
        not finished give way to it where it has all they have, and nobody voted on them."""
        path = files.write(self.outputs, record, sheet, self._sealer)
        name = self._name(path)
        row = ComparisonRow.of(name, stamp(path.stat()), record)
        self._indexed(lambda: self._index.change(add=[row]))
        for each in self._indexed(lambda: self._index.of_plan(record.plan_fingerprint)):
            if each.name != name and self._gives_way(each, record):
                self.delete(each.name)
        return path

    def _gives_way(self, old: StoredComparison, new: ComparisonRecord) -> bool:
        if old.verdict is not Verdict.INCOMPLETE or files.votes_of(old.path).exists():
            return False
        try:
            made = {cell.place for cell in files.read(old.path).pictured}
        except GalleryError as error:
            _log.warning("kept, because it cannot be read: %r: %s", old.name, error.message)
            return False
        return made <= {cell.place for cell in new.pictured}

    def made_for(self, plan_fingerprint: str) -> frozenset[str]:
        """The pictures, by name, that unfinished comparisons of a plan made for themselves; the
        one that takes their place takes them over."""
        return self._indexed(lambda: self._index.made_for(plan_fingerprint, Verdict.INCOMPLETE))

    def read(self, name: Path | str) -> ComparisonRecord:
        """
        Raises:
            RecordError: it is none, or was changed.
        """
        return files.read(self.inside(name))

    def items(
        self,
        wanted: Filter | None = None,
        limit: int = 60,
        beyond: int | None = None,
        newest_first: bool = True,
    ) -> list[Item]:
        """At most ``limit`` pictures and comparisons in order, those after the place ``beyond``; a
        picture that was made for a comparison is shown in it alone."""
        return self._all(wanted or Filter(), "shown", limit, beyond, newest_first)

    def count(
        self,
        wanted: Filter | None = None,
        beyond: int | None = None,
        newest_first: bool = True,
        most: int | None = None,
    ) -> int:
        """How many items the index has that agree with ``wanted``, after ``beyond`` if it is
        given; beyond ``most`` it may say no more than that there are more."""
        asked = wanted or Filter()
        return self._indexed(
            lambda: self._pictures.count(asked, "shown", beyond, newest_first, most)
        )

    def place_of(self, wanted: Filter, number: int, newest_first: bool) -> int | None:
        """The place of the item of this 0-based number; None where there are fewer."""
        return self._indexed(
            lambda: self._pictures.place_of(wanted, "shown", number, newest_first)
        )

    def stored(self, wanted: Filter | None = None, limit: int = 60) -> list[StoredComparison]:
        """At most ``limit`` comparisons alone, newest first; found where one of their cells is."""
        found = self._all(wanted or Filter(), "comparisons", limit, None, True)
        return [each for each in found if isinstance(each, StoredComparison)]

    def count_stored(self, wanted: Filter | None = None) -> int:
        return self._indexed(lambda: self._pictures.count(wanted or Filter(), "comparisons"))

    def _all(
        self, wanted: Filter, shown: Listed, limit: int, beyond: int | None, newest_first: bool
    ) -> list[Item]:
        """Items that are really there."""

        def read(asked: int) -> list[Item]:
            places = self._pictures.places(wanted, shown, asked, beyond, newest_first)
            pictures = self._pictures.at(place for place, comparison in places if not comparison)
            stored = self._index.at([place for place, comparison in places if comparison])
            found: dict[int, Item] = {**pictures, **stored}
            return [found[place] for place, _ in places if place in found]

        there: list[Item] = []
        while len(there) < limit:
            asked = limit - len(there)
            page = self._indexed(partial(read, asked))
            there += self._still_there(page)
            if len(page) < asked:
                break
            beyond = page[-1].place
        return there

    def _still_there(self, page: Sequence[Item]) -> list[Item]:
        gone = [each for each in page if not each.path.is_file()]
        if gone:
            self._indexed(lambda: self._index.change(remove=[each.name for each in gone]))
        return [each for each in page if each not in gone]

    def delete(self, name: Path | str) -> None:
        """Remove record, sheet and votes; the cells become pictures of the gallery like others."""
        path = self.inside(name)
        with atomic.storing(self.outputs):
            # The record goes first: what a crash leaves behind is then no comparison.
            for each in (path, files.sheet_of(path), files.votes_of(path)):
                each.unlink(missing_ok=True)
            atomic.sync_folder(path.parent)
        self._indexed(lambda: self._index.change(remove=[self._name(path)]))

    def vote(self, name: Path | str, vote: BlindVote) -> None:
        """Keep a blind vote with its comparison."""
        files.append_vote(self.inside(name), vote)

    def votes(self, name: Path | str) -> tuple[BlindVote, ...]:
        path = self.inside(name)
        return files.read_votes(path, files.read(path))

    def has_torn_vote(self, name: Path | str) -> bool:
        """Whether the comparison's last vote was cut off while it was written."""
        return files.has_torn_vote(self.inside(name))

    def sync(self) -> None:
        """Bring the index up to the files; what cannot be read is said in the log."""
        self._read_files(*self._index.unlike(walk(self.outputs, files.JSON_SUFFIX)))

    def reread(self) -> None:
        """As ``sync``, but read every file again."""
        there = dict(walk(self.outputs, files.JSON_SUFFIX))
        self._read_files(there, dict.fromkeys(self._index.stamps(), NEVER_READ))

    def _read_files(self, there: dict[str, FileStamp], known: dict[str, FileStamp]) -> None:
        rows = []
        for name, found in there.items():
            if known.get(name) != found:
                try:
                    rows.append(ComparisonRow.of(name, found, files.read(self.outputs / name)))
                except GalleryError as error:
                    _log.warning("not in the gallery: %r: %s", name, error.message)
        gone = [name for name in known if name not in there]
        if rows or gone:
            self._index.change(add=rows, remove=gone)

    def pages(self, record: ComparisonRecord) -> list[tuple[str, str]]:
        """Name and prompt of each comparison that differs from this one in the prompt alone, and
        of this one; in the order in which they were made."""
        series = record.wanted.series
        return self._indexed(lambda: self._index.pages(series))

    def has(self, name: str) -> bool:
        """Whether the index has a comparison whose record has this name."""
        return self._indexed(lambda: self._index.has(name))

    def inside(self, name: Path | str) -> Path:
        """As ``walk.inside``, a comparison.

        Raises:
            GalleryError: it is none, or not there.
        """
        return inside(
            self.outputs, name, lambda each: each.endswith(files.JSON_SUFFIX), "comparison"
        )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.outputs).as_posix()
