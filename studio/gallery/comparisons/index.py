"""Comparisons in the gallery's index, listed among the pictures in place of their cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from studio.comparison.axes import Question
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.errors import RecordError
from studio.gallery.index import Cursor, PictureIndex, where
from studio.gallery.row import EPOCH, MICROSECOND, FileStamp, Filter

_HIDDEN = "name NOT IN (SELECT picture FROM comparison_cells WHERE own)"
"""Pictures that a comparison made are shown in it."""

_SHOWN = "title, summary, verdict, cells, fingerprint, kind"
_NOTHING = "NULL, NULL, NULL, NULL, NULL, NULL"
"""In the place of ``_SHOWN``, for a picture."""


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """One comparison as the gallery knows it without opening it.

    Attributes:
        kind: the question it asks.
        path: of its record, absolute; ``name`` is the same relative to the outputs.
        cells: how many of its cells have a picture.
    """

    path: Path
    name: str
    created: datetime
    kind: Question
    title: str
    summary: str
    verdict: Verdict
    cells: int
    plan_fingerprint: str


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A comparison on its way into the index, with (picture, made for it)s."""

    columns: tuple[str | int, ...]
    cells: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, name: str, stamp: FileStamp, record: ComparisonRecord) -> "ComparisonRow":
        """
        Raises:
            RecordError: the record's time is none.
        """
        try:
            finished = datetime.fromisoformat(record.finished_at)
            created = (finished.astimezone(EPOCH.tzinfo) - EPOCH) // MICROSECOND
        except (ValueError, OverflowError) as error:
            raise RecordError(
                f"The comparison says that it finished at {record.finished_at!r}.",
                "Take it from a copy that was not changed.",
            ) from error
        columns = (
            *(name, created, *stamp, record.title, record.summary),
            *(record.validity.verdict.value, len(record.pictured), record.plan_fingerprint),
            record.wanted.kind.value,
        )
        own = {cell.picture: not cell.reused for cell in record.pictured if cell.picture}
        return cls(columns, tuple(own.items()))


class ComparisonIndex:
    """The comparisons in ``index``, which the pictures share."""

    def __init__(self, index: PictureIndex) -> None:
        self._index = index

    def change(self, add: Iterable[ComparisonRow] = (), remove: Iterable[str] = ()) -> None:
        """Add or replace rows and remove others, all of it or nothing."""
        with self._index.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM comparisons WHERE name = ?", ((n,) for n in remove))
            for row in add:
                name = row.columns[0]
                db.execute("DELETE FROM comparisons WHERE name = ?", (name,))
                marks = ", ".join("?" * len(row.columns))
                db.execute(f"INSERT INTO comparisons VALUES ({marks})", row.columns)
                cells = ((name, *cell) for cell in row.cells)
                db.executemany("INSERT INTO comparison_cells VALUES (?, ?, ?)", cells)
            db.execute("COMMIT")

    def stamps(self) -> dict[str, FileStamp]:
        with self._index.connection() as db:
            rows = db.execute("SELECT name, size, modified FROM comparisons")
            return {name: (size, modified) for name, size, modified in rows}

    def has(self, name: str) -> bool:
        with self._index.connection() as db:
            found = db.execute("SELECT 1 FROM comparisons WHERE name = ?", (name,))
            return found.fetchone() is not None

    def page(
        self, wanted: Filter, limit: int, after: Cursor | None
    ) -> list[tuple[str, StoredComparison | None]]:
        """The names of pictures and comparisons, newest first; pictures come without more."""
        pictures, values = where(wanted, after, _HIDDEN)
        cells, cell_values = where(wanted, None)
        older, older_values = where(Filter(), after)
        sql = f"""
            SELECT created, name, {_NOTHING} FROM pictures p {pictures}
            UNION ALL
            SELECT created, name, {_SHOWN} FROM comparisons c
            {older} {"AND" if older else "WHERE"} {_matching(wanted, cells)}
            ORDER BY 1 DESC, 2 DESC LIMIT ?"""
        asked = (*values, *older_values, *cell_values, limit)
        with self._index.connection() as db:
            return [self._item(row) for row in db.execute(sql, asked)]

    def count(self, wanted: Filter) -> int:
        pictures, values = where(wanted, None, _HIDDEN)
        cells, cell_values = where(wanted, None)
        sql = (
            f"SELECT (SELECT count(*) FROM pictures p {pictures}) + "
            f"(SELECT count(*) FROM comparisons c WHERE {_matching(wanted, cells)})"
        )
        with self._index.connection() as db:
            return int(db.execute(sql, (*values, *cell_values)).fetchone()[0])

    def stored(self, wanted: Filter, limit: int) -> list[StoredComparison]:
        """The comparisons alone, newest first."""
        cells, values = where(wanted, None)
        return self._where(_matching(wanted, cells), (*values, limit), "LIMIT ?")

    def count_stored(self, wanted: Filter) -> int:
        cells, values = where(wanted, None)
        sql = f"SELECT count(*) FROM comparisons c WHERE {_matching(wanted, cells)}"
        with self._index.connection() as db:
            return int(db.execute(sql, values).fetchone()[0])

    def of_plan(self, plan_fingerprint: str) -> list[StoredComparison]:
        """Every comparison of one plan, newest first."""
        return self._where("fingerprint = ?", (plan_fingerprint,))

    def _where(
        self, condition: str, asked: Sequence[object], limit: str = ""
    ) -> list[StoredComparison]:
        sql = (
            f"SELECT created, name, {_SHOWN} FROM comparisons c WHERE {condition} "
            f"ORDER BY created DESC, name DESC {limit}"
        )
        with self._index.connection() as db:
            found = [self._item(row)[1] for row in db.execute(sql, asked)]
        return [each for each in found if each is not None]

    def made_for(self, plan_fingerprint: str, verdict: Verdict) -> frozenset[str]:
        """The pictures that comparisons of one plan, with this verdict, made for themselves."""
        sql = (
            "SELECT picture FROM comparison_cells JOIN comparisons ON name = comparison "
            "WHERE own AND fingerprint = ? AND verdict = ?"
        )
        with self._index.connection() as db:
            rows = db.execute(sql, (plan_fingerprint, verdict.value))
            return frozenset(picture for (picture,) in rows)

    def _item(self, row: tuple[object, ...]) -> tuple[str, StoredComparison | None]:
        created, name, title, summary, verdict, cells, plan, kind = row
        if title is None:
            return str(name), None
        return str(name), StoredComparison(
            path=self._index.root / str(name),
            name=str(name),
            created=EPOCH + int(str(created)) * MICROSECOND,
            kind=Question(str(kind)),
            title=str(title),
            summary=str(summary),
            verdict=Verdict(str(verdict)),
            cells=int(str(cells)),
            plan_fingerprint=str(plan),
        )


def _matching(wanted: Filter, cells: str) -> str:
    """A comparison is found where one of its cells is."""
    if wanted == Filter():
        return "1"
    return (
        "c.name IN (SELECT comparison FROM comparison_cells WHERE picture IN "
        f"(SELECT name FROM pictures p {cells}))"
    )
