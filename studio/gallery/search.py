"""Filters as SQL that begins with whatever leaves the fewest items, in the gallery's order."""

import re
import sqlite3
from dataclasses import dataclass
from typing import Literal

from studio.comparison.review import ReviewState
from studio.gallery.row import APPROVED_BY, REJECTED_BY, STANDING, Filter

Listed = Literal["shown", "pictures", "comparisons"]
"""What the grid shows, where a comparison hides the cells that were made for it; or all of one
kind."""

# The plus keeps SQLite from an index that is not in the gallery's order.
_KINDS = {
    "shown": "+i.hidden = 0",
    "pictures": "+i.comparison = 0",
    "comparisons": "i.comparison = 1",
}
_GRAM = 3
"""Letters by which the index of texts finds one: it holds every run of three."""
_FEW = 2000
"""Items up to which it is quicker to look into the text of each."""
_UNSPACED = re.compile("([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
"""Letters of scripts that write no spaces, each of which counts as a word."""


def searchable(text: str) -> str:
    """``text`` as the index holds it: in lower case, with a blank on both sides of every word."""
    spaced = _UNSPACED.sub(r" \1 ", text.casefold().replace("\0", " "))
    return f" {' '.join(spaced.encode('utf-8', 'replace').decode().split())} "


def _looked_for(words: str) -> list[str]:
    """Each word as it stands in ``searchable`` texts: anywhere, but two letters at the beginning
    of a word, and a single one as a word."""
    whole = (searchable(word) for word in words.split())
    pairs = ((each, each.strip()) for each in whole)
    return [bare if len(bare) >= _GRAM else each[:_GRAM] for each, bare in pairs if bare]


@dataclass(frozen=True, slots=True)
class Search:
    """``SELECT … {sql}``: the items ``i`` that are asked for.

    Attributes:
        place: the column by which the gallery is in order.
    """

    sql: str
    values: tuple[str | int, ...]
    place: str


def kept(db: sqlite3.Connection, wanted: Filter, shown: Listed) -> int | None:
    """How many items there are, where the index keeps their number: those of one tag."""
    tags = _tags(wanted)
    if wanted.words or len(tags) != 1 or _asks_either(wanted):
        return None
    if shown != "shown" and not wanted.asks_reviewers:
        return None
    column = "every" if wanted.asks_reviewers else "shown"
    found = db.execute(f"SELECT {column} FROM facets WHERE kind = ? AND value = ?", tags[0])
    return int((found.fetchone() or (0,))[0])


def _asks_either(wanted: Filter) -> bool:
    """Whether it matters that one reviewer decided, and not how."""
    decided = wanted.standing in (ReviewState.APPROVED, ReviewState.REJECTED)
    return wanted.by is not None and not decided


def search(
    db: sqlite3.Connection,
    wanted: Filter,
    shown: Listed,
    beyond: int | None = None,
    newest_first: bool = True,
) -> Search:
    """The items that agree with ``wanted``; with ``beyond`` only those after that place."""
    if wanted.asks_reviewers and shown == "shown":
        shown = "pictures"
    tags = sorted(_numbered(db, kind, value) for kind, value in _tags(wanted))
    words = _looked_for(wanted.words)
    terms: list[tuple[str, tuple[str | int, ...]]] = [(_KINDS[shown], ())]
    if words and not (tags and tags[0][0] <= _FEW):
        tables, place = "texts w CROSS JOIN items i ON i.id = w.rowid", "w.rowid"
        match = " ".join('"{}"'.format(word.replace('"', '""')) for word in words)
        terms.append(("texts MATCH ?", (match,)))
    elif tags:
        tables, place = "tags t CROSS JOIN items i ON i.id = t.id", "t.id"
        terms.append(("t.tag = ?", (tags.pop(0)[1],)))
        if words:
            tables += " CROSS JOIN texts w ON w.rowid = i.id"
            terms += [("instr(w.words, ?) > 0", (word,)) for word in words]
    else:
        tables, place = "items i", "i.id"
    has = "EXISTS (SELECT 1 FROM tags h WHERE h.tag = ? AND h.id = i.id)"
    terms += [(has, (tag,)) for _, tag in tags]
    if _asks_either(wanted):
        by = str(wanted.by)
        either = tuple(_numbered(db, kind, by)[1] for kind in (APPROVED_BY, REJECTED_BY))
        decided = "EXISTS (SELECT 1 FROM tags h WHERE h.tag IN (?, ?) AND h.id = i.id)"
        wrong = "NOT " if wanted.standing is ReviewState.UNDECIDED else ""
        terms.append((f"{wrong}{decided}", either))
    if beyond is not None:
        terms.append((f"{place} {'<' if newest_first else '>'} ?", (beyond,)))
    where = " AND ".join(sql for sql, _ in terms)
    values = tuple(value for _, values in terms for value in values)
    return Search(f"FROM {tables} WHERE {where}", values, place)


def _tags(wanted: Filter) -> list[tuple[str, str]]:
    """Kind and value of each tag that an item must have."""
    mode = None if wanted.mode is None else wanted.mode.value
    tags = [("base", wanted.base), ("lora", wanted.lora), ("mode", mode)]
    match wanted.standing, wanted.by:
        case ReviewState.APPROVED, str(by):
            tags.append((APPROVED_BY, by))
        case ReviewState.REJECTED, str(by):
            tags.append((REJECTED_BY, by))
        case ReviewState.DISAGREED, _:
            tags.append((STANDING, ReviewState.DISAGREED.value))
        case ReviewState() as standing, None:
            tags.append((STANDING, standing.value))
    return [(kind, value) for kind, value in tags if value is not None]


def _numbered(db: sqlite3.Connection, kind: str, value: str) -> tuple[int, int]:
    """How many shown items have a tag, and its number; of one that nothing has, numbers that find
    nothing."""
    asked = "SELECT shown, tag FROM facets WHERE kind = ? AND value = ?"
    found = db.execute(asked, (kind, value)).fetchone()
    return (0, -1) if found is None else (int(found[0]), int(found[1]))
