"""The comparisons of a gallery: kept, listed in place of their cells, opened, deleted."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.comparison.votes import BlindVote
from studio.errors import GalleryError
from studio.gallery.comparisons import files
from studio.gallery.comparisons.index import ComparisonIndex, ComparisonRow, StoredComparison
from studio.gallery.index import Cursor, PictureIndex
from studio.gallery.row import FileStamp, Filter, Picture
from studio.gallery.walk import stamp, walk
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
        self, wanted: Filter | None = None, limit: int = 60, after: Item | None = None
    ) -> list[Item]:
        """At most ``limit`` pictures and comparisons, newest first; a picture that was made
        for a comparison is shown in it alone."""
        found: list[Item] = []
        cursor = None if after is None else (after.created, after.name)
        while len(found) < limit:
            asked = limit - len(found)
            page = self._page(wanted or Filter(), asked, cursor)
            found += self._still_there(page)
            if len(page) < asked:
                break
            cursor = (page[-1].created, page[-1].name)
        return found

    def count(self, wanted: Filter | None = None) -> int:
        """How many items the index has that agree with ``wanted``."""
        return self._indexed(lambda: self._index.count(wanted or Filter()))

    def stored(self, wanted: Filter | None = None, limit: int = 60) -> list[StoredComparison]:
        """At most ``limit`` comparisons alone, newest first; found where one of their cells is."""
        while True:
            page = self._indexed(lambda: self._index.stored(wanted or Filter(), limit))
            if len(self._still_there(page)) == len(page):  # else the index is shorter now
                return page

    def count_stored(self, wanted: Filter | None = None) -> int:
        return self._indexed(lambda: self._index.count_stored(wanted or Filter()))

    def _page(self, wanted: Filter, limit: int, cursor: Cursor | None) -> list[Item]:
        def read() -> list[Item]:
            rows = self._index.page(wanted, limit, cursor)
            names = [name for name, comparison in rows if comparison is None]
            pictures = {each.name: each for each in self._pictures.named(names)}
            found = [comparison or pictures.get(name) for name, comparison in rows]
            return [each for each in found if each is not None]

        return self._indexed(read)

    def _still_there(self, page: Sequence[Item]) -> list[Item]:
        gone = [each for each in page if not each.path.is_file()]
        lost = [each.name for each in gone if isinstance(each, StoredComparison)]
        if lost:
            self._indexed(lambda: self._index.change(remove=lost))
        return [each for each in page if each not in gone]

    def delete(self, name: Path | str) -> None:
        """Remove record, sheet and votes; the cells become pictures of the gallery like others."""
        path = self.inside(name)
        try:
            # The record goes first: what a crash leaves behind is then no comparison.
            for each in (path, files.sheet_of(path), files.votes_of(path)):
                each.unlink(missing_ok=True)
            atomic.sync_folder(path.parent)
        except OSError as error:
            raise atomic.storage_error(error, self.outputs) from error
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
        self._read_files(self._index.stamps())

    def reread(self) -> None:
        """As ``sync``, but read every file again."""
        self._read_files(dict.fromkeys(self._index.stamps(), (-1, -1)))

    def _read_files(self, known: dict[str, FileStamp]) -> None:
        there = dict(walk(self.outputs, files.JSON_SUFFIX))
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

    def has(self, name: str) -> bool:
        """Whether the index has a comparison whose record has this name."""
        return self._indexed(lambda: self._index.has(name))

    def inside(self, name: Path | str) -> Path:
        """``name`` as a comparison that really lies in the outputs, without links on the way.

        Raises:
            GalleryError: for any other path, and where there is no such file.
        """
        place = Path(os.path.normpath(self.outputs / name))
        fits = "\0" not in str(place) and place.is_relative_to(self.outputs)
        hidden = fits and any(
            part.startswith(".") for part in place.relative_to(self.outputs).parts
        )
        if not fits or hidden or not place.name.endswith(files.JSON_SUFFIX):
            raise GalleryError(
                f"{name} is not a comparison in {self.outputs}.", "Name one of the gallery."
            )
        if not place.is_file() or place.resolve() != place:
            raise GalleryError(f"{name} is not there any more.", "Reload the gallery.")
        return place

    def _name(self, path: Path) -> str:
        return path.relative_to(self.outputs).as_posix()
