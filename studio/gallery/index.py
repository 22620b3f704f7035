"""The SQLite index beside the pictures: quick to ask, never the truth, made anew at will."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from studio.architecture import Mode
from studio.comparison.review import Judgement
from studio.gallery.index_file import IndexFile
from studio.gallery.row import (
    APPROVED_BY,
    REJECTED_BY,
    REVIEW,
    STANDING,
    Facet,
    Facets,
    FileStamp,
    Filter,
    Picture,
    Row,
    Tag,
    UseCount,
    created_at,
)
from studio.gallery.search import Listed, kept, search
from studio.gallery.tables import (
    add_item,
    checksum,
    folder_of,
    tag_item,
)

_PICTURE = (
    "i.id, i.name, base, base_label, mode, prompt, seed, width, height, fingerprint, record, loras"
)


class PictureIndex(IndexFile):
    """What is asked of it, and written to it."""

    def change(self, add: Iterable[Row] = (), remove: Iterable[str] = ()) -> None:
        """Add or replace pictures and remove others, all of it or nothing.

        Raises:
            IndexBroken: as every operation, when there is no sound index.
            GalleryError: when the index cannot be written.
        """
        with self.changing(remove) as db:
            for row in add:
                place = add_item(db, row.name, row.stamp, row.created, row.words)
                marks = ", ".join("?" * len(row.columns))
                db.execute(f"INSERT INTO pictures VALUES (?, {marks})", (place, *row.columns))
                uses = ((place, sha256) for sha256 in row.references)
                db.executemany("INSERT INTO picture_references VALUES (?, ?)", uses)
                tag_item(db, place, row.tags)

    def judge(self, record: str, tags: Callable[[], Sequence[Tag]]) -> None:
        """Give every picture of a record the ``tags`` of its decisions, as they are once nobody
        else changes the index."""
        marks = ", ".join("?" * len(REVIEW))
        of_kind = f"tag IN (SELECT tag FROM facets WHERE kind IN ({marks}))"
        with self.changing() as db:
            pictures = db.execute("SELECT id FROM pictures WHERE record = ?", (record,)).fetchall()
            now = tags()
            for (place,) in pictures:
                db.execute(f"DELETE FROM tags WHERE id = ? AND {of_kind}", (place, *REVIEW))
                tag_item(db, place, now)

    def stamps(self, comparisons: bool = False, within: str = "") -> dict[str, FileStamp]:
        """Every file in the index → its stamp when it was read; only those whose names begin with
        ``within``."""
        asked = "SELECT name, stamp FROM items WHERE comparison = ? AND name BETWEEN ? AND ?"
        with self.connection() as db:
            return dict(db.execute(asked, (comparisons, within, f"{within}\U0010ffff")))

    def unlike(
        self, found: Iterable[tuple[str, FileStamp]], comparisons: bool = False
    ) -> tuple[dict[str, FileStamp], dict[str, FileStamp]]:
        """The files that were ``found`` in folders of which the index knows something else, and
        what it knows of these folders."""
        folders: dict[str, dict[str, FileStamp]] = {}
        for name, stamp in found:
            folders.setdefault(folder_of(name), {})[name] = stamp
        there: dict[str, FileStamp] = {}
        known: dict[str, FileStamp] = {}
        kept = self.checksums(comparisons)
        for folder in folders.keys() | kept.keys():
            files = folders.get(folder, {})
            if checksum(files) != kept.get(folder):
                of_it = self.stamps(comparisons, folder).items()
                there |= files
                known |= {name: stamp for name, stamp in of_it if folder_of(name) == folder}
        return there, known

    def checksums(self, comparisons: bool = False) -> dict[str, int]:
        """Every folder with a file in the index → ``tables.checksum`` of its files."""
        with self.connection() as db:
            asked = "SELECT folder, checksum FROM folders WHERE comparison = ?"
            return dict(db.execute(asked, (comparisons,)))

    def references_of(self, name: str) -> list[str]:
        """SHA-256 of the reference images a picture was made from."""
        sql = "SELECT sha256 FROM picture_references r JOIN items i ON i.id = r.id WHERE name = ?"
        with self.connection() as db:
            return [str(sha256) for (sha256,) in db.execute(sql, (name,))]

    def uses_reference(self, sha256: str) -> bool:
        """Whether any picture was made from this reference image."""
        sql = "SELECT 1 FROM picture_references WHERE sha256 = ? LIMIT 1"
        with self.connection() as db:
            return db.execute(sql, (sha256,)).fetchone() is not None

    def places(
        self, wanted: Filter, shown: Listed, limit: int, beyond: int | None, newest_first: bool
    ) -> list[tuple[int, bool]]:
        """At most ``limit`` items in order, those after the place ``beyond``: the place of each,
        and whether it is a comparison."""
        with self.connection() as db:
            found = search(db, wanted, shown, beyond, newest_first)
            order = f"ORDER BY {found.place} {'DESC' if newest_first else 'ASC'} LIMIT ?"
            rows = db.execute(
                f"SELECT i.id, i.comparison {found.sql} {order}", (*found.values, limit)
            )
            return [(int(place), bool(comparison)) for place, comparison in rows]

    def count(
        self,
        wanted: Filter,
        shown: Listed,
        beyond: int | None = None,
        newest_first: bool = True,
        most: int | None = None,
    ) -> int:
        """How many items agree with ``wanted``, or how many of them lie after ``beyond``. With
        ``most`` counting stops one above it, unless the index keeps the number."""
        with self.connection() as db:
            known = kept(db, wanted, shown) if beyond is None else None
            if known is not None:
                return known
            found = search(db, wanted, shown, beyond, newest_first)
            limit = -1 if most is None else most + 1
            counted = f"SELECT count(*) FROM (SELECT 1 {found.sql} LIMIT {limit})"
            return int(db.execute(counted, found.values).fetchone()[0])

    def place_of(
        self, wanted: Filter, shown: Listed, number: int, newest_first: bool
    ) -> int | None:
        """The place of the item of this 0-based number; None where there are fewer."""
        with self.connection() as db:
            found = search(db, wanted, shown, None, newest_first)
            order = f"ORDER BY {found.place} {'DESC' if newest_first else 'ASC'}"
            asked = f"SELECT i.id {found.sql} {order} LIMIT 1 OFFSET ?"
            row = db.execute(asked, (*found.values, number)).fetchone()
            return None if row is None else int(row[0])

    def at(self, places: Iterable[int]) -> dict[int, Picture]:
        """The pictures at these places that the index has, by place."""
        found = self._pictures("i.id", tuple(places))
        return {each.place: each for each in found}

    def named(self, names: Sequence[str]) -> list[Picture]:
        """The pictures of these names that the index has, newest first."""
        return self._pictures("i.name", tuple(names))

    def having(
        self, column: Literal["fingerprint", "record", "pixels"], value: str
    ) -> list[Picture]:
        """The pictures of a plan's or a record's fingerprint or of a pixel hash, newest first."""
        return self._pictures(column, (value,))

    def _pictures(self, column: str, values: Sequence[str | int]) -> list[Picture]:
        marks = ", ".join("?" * len(values))
        sql = (
            f"SELECT {_PICTURE} FROM pictures p JOIN items i ON i.id = p.id "
            f"WHERE {column} IN ({marks}) ORDER BY i.id DESC"
        )
        with self.connection() as db:
            return [self._picture(row) for row in db.execute(sql, tuple(values))]

    def facets(self) -> Facets:
        """What occurs among the items that are shown, and how often."""
        said = "SELECT kind, value, label, shown FROM facets WHERE shown > 0 ORDER BY 4 DESC, 2"
        of: dict[str, list[Facet]] = {}
        with self.connection() as db:
            total = db.execute("SELECT count(*) FROM items WHERE hidden = 0").fetchone()[0]
            for kind, *facet in db.execute(said):
                of.setdefault(kind, []).append(Facet(*facet))
        reviewers = (
            each.value for kind in (APPROVED_BY, REJECTED_BY) for each in of.get(kind, ())
        )
        bases, loras, modes = (tuple(of.get(kind, ())) for kind in ("base", "lora", "mode"))
        return Facets(int(total), bases, loras, modes, tuple(sorted(set(reviewers))))

    def verdicts(self) -> list[tuple[str, str, Judgement]]:
        """Record, reviewer and verdict, of every picture that was decided on."""
        kinds = {APPROVED_BY: Judgement.APPROVE, REJECTED_BY: Judgement.REJECT}
        sql = (
            "SELECT record, value, kind FROM facets JOIN tags USING (tag) "
            "JOIN pictures USING (id) WHERE kind IN (?, ?)"
        )
        with self.connection() as db:
            return [
                (record, by, kinds[kind]) for record, by, kind in db.execute(sql, tuple(kinds))
            ]

    def standings(self, places: Sequence[int]) -> dict[int, str]:
        """What the reviewers make of the pictures at these places."""
        marks = ", ".join("?" * len(places))
        sql = (
            "SELECT id, value FROM tags JOIN facets USING (tag) "
            f"WHERE kind = ? AND id IN ({marks})"
        )
        with self.connection() as db:
            return dict(db.execute(sql, (STANDING, *places)))

    def uses(self) -> dict[str, UseCount]:
        """Slug → in how many pictures a LoRA was applied, and the place of the last."""
        sql = (
            "SELECT value, count(*), max(id) FROM facets JOIN tags USING (tag) "
            "JOIN pictures USING (id) WHERE kind = 'lora' GROUP BY value"
        )
        with self.connection() as db:
            return {str(lora): UseCount(int(n), int(last)) for lora, n, last in db.execute(sql)}

    def _picture(self, row: tuple[Any, ...]) -> Picture:
        place, name, base, label, mode, prompt, seed, width, height, plan, record, loras = row
        return Picture(
            path=self.root / name,
            name=name,
            place=place,
            created=created_at(place),
            base=base,
            base_label=label,
            mode=Mode(mode),
            prompt=prompt,
            seed=seed,
            width=width,
            height=height,
            fingerprint=plan,
            record=record,
            loras=tuple(loras.split("\n")) if loras else (),
        )
