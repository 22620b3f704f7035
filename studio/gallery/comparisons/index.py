"""Comparisons in the gallery's index, listed among the pictures in place of their cells."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from studio.comparison.axes import Question
from studio.comparison.record import ComparisonRecord
from studio.comparison.validity import Verdict
from studio.errors import RecordError
from studio.gallery.index import PictureIndex
from studio.gallery.row import REVIEW, FileStamp, created_at, microseconds
from studio.gallery.tables import add_item

_SHOWN = "i.id, i.name, title, summary, verdict, cells, fingerprint, kind"


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """One comparison as the gallery knows it without opening it.

    Attributes:
        kind: the question it asks.
        path: of its record, absolute; ``name`` is the same relative to the outputs.
        place: in the order of the gallery.
        cells: how many of its cells have a picture.
    """

    path: Path
    name: str
    place: int
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

    name: str
    stamp: FileStamp
    created: int
    columns: tuple[str | int, ...]
    cells: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, name: str, stamp: FileStamp, record: ComparisonRecord) -> "ComparisonRow":
        """
        Raises:
            RecordError: the record's time is none.
        """
        try:
            created = microseconds(datetime.fromisoformat(record.finished_at).astimezone())
        except (ValueError, OverflowError) as error:
            raise RecordError(
                f"The comparison says that it finished at {record.finished_at!r}.",
                "Take it from a copy that was not changed.",
            ) from error
        columns = (
            *(record.title, record.summary, record.validity.verdict.value, len(record.pictured)),
            *(record.plan_fingerprint, record.wanted.kind.value),
            *(record.wanted.series, record.wanted.request.prompt),
        )
        own = {cell.picture: not cell.reused for cell in record.pictured if cell.picture}
        return cls(name, stamp, created, columns, tuple(own.items()))


class ComparisonIndex:
    """The comparisons in ``index``, which the pictures share."""

    def __init__(self, index: PictureIndex) -> None:
        self._index = index

    def change(self, add: Iterable[ComparisonRow] = (), remove: Iterable[str] = ()) -> None:
        """Add or replace rows and remove others, all of it or nothing. A comparison is found by
        what its cells are found by, so the pictures come before it."""
        with self._index.changing(remove) as db:
            for row in add:
                names = [name for name, _ in row.cells]
                place = add_item(db, row.name, row.stamp, row.created, _words(db, names), True)
                marks = ", ".join("?" * len(row.columns))
                db.execute(f"INSERT INTO comparisons VALUES (?, {marks})", (place, *row.columns))
                cells = ((place, *cell) for cell in row.cells)
                db.executemany("INSERT INTO comparison_cells VALUES (?, ?, ?)", cells)
                db.execute(
                    "INSERT INTO tags SELECT DISTINCT tag, ? FROM tags t JOIN facets USING (tag) "
                    f"JOIN items i ON i.id = t.id WHERE i.name IN ({_marks(names)}) "
                    f"AND facets.kind NOT IN ({_marks(REVIEW)})",
                    (place, *names, *REVIEW),
                )

    def stamps(self) -> dict[str, FileStamp]:
        return self._index.stamps(comparisons=True)

    def unlike(
        self, found: Iterable[tuple[str, FileStamp]]
    ) -> tuple[dict[str, FileStamp], dict[str, FileStamp]]:
        return self._index.unlike(found, comparisons=True)

    def has(self, name: str) -> bool:
        return bool(self._where("i.name = ?", (name,)))

    def at(self, places: Sequence[int]) -> dict[int, StoredComparison]:
        """The comparisons at these places, by place."""
        found = self._where(f"i.id IN ({_marks(places)})", places)
        return {each.place: each for each in found}

    def of_plan(self, plan_fingerprint: str) -> list[StoredComparison]:
        """Every comparison of one plan, newest first."""
        return self._where("fingerprint = ?", (plan_fingerprint,))

    def pages(self, series: str) -> list[tuple[str, str]]:
        """Name and prompt of a series' comparisons, oldest first; of those with one prompt, the
        newest."""
        sql = (
            "SELECT i.name, prompt, max(i.id) AS place FROM comparisons c JOIN items i "
            "ON i.id = c.id WHERE series = ? GROUP BY prompt ORDER BY place"
        )
        with self._index.connection() as db:
            return [(name, prompt) for name, prompt, _ in db.execute(sql, (series,))]

    def _where(self, condition: str, asked: Sequence[object]) -> list[StoredComparison]:
        sql = (
            f"SELECT {_SHOWN} FROM comparisons c JOIN items i ON i.id = c.id WHERE {condition} "
            f"ORDER BY i.id DESC"
        )
        with self._index.connection() as db:
            return [self._comparison(row) for row in db.execute(sql, asked)]

    def made_for(self, plan_fingerprint: str, verdict: Verdict) -> frozenset[str]:
        """The pictures that comparisons of one plan, with this verdict, made for themselves."""
        sql = (
            "SELECT picture FROM comparison_cells JOIN comparisons ON id = comparison "
            "WHERE own AND fingerprint = ? AND verdict = ?"
        )
        with self._index.connection() as db:
            rows = db.execute(sql, (plan_fingerprint, verdict.value))
            return frozenset(picture for (picture,) in rows)

    def _comparison(self, row: tuple[Any, ...]) -> StoredComparison:
        place, name, title, summary, verdict, cells, plan, kind = row
        return StoredComparison(
            path=self._index.root / name,
            name=name,
            place=place,
            created=created_at(place),
            kind=Question(kind),
            title=title,
            summary=summary,
            verdict=Verdict(verdict),
            cells=cells,
            plan_fingerprint=plan,
        )


def _words(db: sqlite3.Connection, pictures: Sequence[str]) -> str:
    """The pictures' texts, each once."""
    sql = (
        "SELECT DISTINCT words FROM texts w JOIN items i ON i.id = w.rowid "
        f"WHERE i.name IN ({_marks(pictures)})"
    )
    return " ".join(words for (words,) in db.execute(sql, pictures))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
