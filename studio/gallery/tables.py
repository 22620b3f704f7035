"""The index's tables, and how an item comes into them.

An item is a picture or a comparison. Its ``id`` is its place in the order of the gallery, its text
is searched by runs of three letters, and each tag it has is counted. Of each folder the sum of its
files' checksums is kept, which tells whether any of them changed.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from zlib import crc32

from studio.gallery.row import TIES, FileStamp, Tag
from studio.gallery.search import searchable

INDEX_SCHEMA = 8
_FOLDER = "rtrim({0}.name, replace({0}.name, '/', ''))"
"""In SQL, as ``folder_of``."""
_MADE_FOR_ONE = "EXISTS (SELECT 1 FROM comparison_cells WHERE picture = OLD.picture AND own)"
"""Whether a picture was made for a comparison, which then shows it."""
TABLES = f"""
    PRAGMA journal_mode = WAL;
    BEGIN;
    CREATE TABLE items (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL,
        comparison INTEGER NOT NULL, hidden INTEGER NOT NULL DEFAULT 0,
        checksum INTEGER NOT NULL);
    CREATE INDEX by_hidden ON items (hidden);
    CREATE INDEX by_kind ON items (comparison, name, stamp);
    CREATE TABLE folders (
        folder TEXT NOT NULL, comparison INTEGER NOT NULL, files INTEGER NOT NULL,
        checksum INTEGER NOT NULL, PRIMARY KEY (folder, comparison)) WITHOUT ROWID;
    CREATE TRIGGER filed AFTER INSERT ON items BEGIN
        INSERT INTO folders VALUES ({_FOLDER.format("NEW")}, NEW.comparison, 1, NEW.checksum)
        ON CONFLICT DO UPDATE SET files = files + 1, checksum = checksum + NEW.checksum;
    END;
    CREATE TRIGGER unfiled AFTER DELETE ON items BEGIN
        UPDATE folders SET files = files - 1, checksum = checksum - OLD.checksum
        WHERE folder = {_FOLDER.format("OLD")} AND comparison = OLD.comparison;
        DELETE FROM folders WHERE files = 0;
    END;
    CREATE TABLE pictures (
        id INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE,
        base TEXT NOT NULL, base_label TEXT NOT NULL, mode TEXT NOT NULL, prompt TEXT NOT NULL,
        seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
        fingerprint TEXT NOT NULL, record TEXT NOT NULL, pixels TEXT NOT NULL,
        loras TEXT NOT NULL);
    CREATE INDEX by_plan ON pictures (fingerprint);
    CREATE INDEX by_record ON pictures (record);
    CREATE INDEX by_pixels ON pictures (pixels);
    CREATE TABLE picture_references (
        id INTEGER NOT NULL REFERENCES pictures ON DELETE CASCADE,
        sha256 TEXT NOT NULL, PRIMARY KEY (id, sha256)) WITHOUT ROWID;
    CREATE INDEX by_reference ON picture_references (sha256);

    CREATE TABLE comparisons (
        id INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE,
        title TEXT NOT NULL, summary TEXT NOT NULL, verdict TEXT NOT NULL,
        cells INTEGER NOT NULL, fingerprint TEXT NOT NULL, kind TEXT NOT NULL,
        series TEXT NOT NULL, prompt TEXT NOT NULL);
    CREATE INDEX comparisons_of ON comparisons (fingerprint);
    CREATE INDEX series_of ON comparisons (series, prompt);
    CREATE TABLE comparison_cells (
        comparison INTEGER NOT NULL REFERENCES comparisons ON DELETE CASCADE,
        picture TEXT NOT NULL, own INTEGER NOT NULL);
    CREATE INDEX by_picture ON comparison_cells (picture);
    CREATE INDEX by_comparison ON comparison_cells (comparison);
    CREATE TRIGGER cell_made AFTER INSERT ON comparison_cells WHEN NEW.own BEGIN
        UPDATE items SET hidden = 1 WHERE name = NEW.picture;
    END;
    CREATE TRIGGER cell_freed AFTER DELETE ON comparison_cells WHEN OLD.own BEGIN
        UPDATE items SET hidden = {_MADE_FOR_ONE} WHERE name = OLD.picture;
    END;

    CREATE VIRTUAL TABLE texts USING fts5(words, tokenize = 'trigram case_sensitive 1');
    CREATE TABLE facets (
        tag INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, label TEXT NOT NULL,
        shown INTEGER NOT NULL DEFAULT 0, every INTEGER NOT NULL DEFAULT 0,
        UNIQUE (kind, value));
    CREATE TABLE tags (
        tag INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (tag, id)) WITHOUT ROWID;
    CREATE INDEX by_item ON tags (id);
    CREATE TRIGGER tagged AFTER INSERT ON tags BEGIN
        UPDATE facets SET every = every + 1,
            shown = shown + (SELECT 1 - hidden FROM items WHERE id = NEW.id)
        WHERE tag = NEW.tag;
    END;
    CREATE TRIGGER untagged AFTER DELETE ON tags BEGIN
        UPDATE facets SET every = every - 1,
            shown = shown - (SELECT 1 - hidden FROM items WHERE id = OLD.id)
        WHERE tag = OLD.tag;
    END;
    CREATE TRIGGER hid AFTER UPDATE OF hidden ON items WHEN OLD.hidden != NEW.hidden BEGIN
        UPDATE facets SET shown = shown + OLD.hidden - NEW.hidden
        WHERE tag IN (SELECT tag FROM tags WHERE id = NEW.id);
    END;
    CREATE TRIGGER gone BEFORE DELETE ON items BEGIN
        DELETE FROM tags WHERE id = OLD.id;
        DELETE FROM texts WHERE rowid = OLD.id;
    END;
    PRAGMA user_version = {INDEX_SCHEMA};
    COMMIT;
"""


def folder_of(name: str) -> str:
    """``2026-11-22/`` of ``2026-11-22/153012.png``, nothing of a name without a folder."""
    return name[: name.rfind("/") + 1]


def checksum(files: Mapping[str, FileStamp]) -> int:
    """What the index keeps of a folder with these ``files``."""
    return sum(_checksum(*each) for each in files.items())


def _checksum(name: str, stamp: FileStamp) -> int:
    return crc32(f"{name} {stamp}".encode(errors="surrogateescape"))


def add_item(
    db: sqlite3.Connection,
    name: str,
    stamp: FileStamp,
    created: int,
    words: str,
    comparison: bool = False,
) -> int:
    """Add an item, in place of one of the same name, and say its place: the first free one at its
    time.

    Args:
        created: microseconds since 1970.
    """
    db.execute("DELETE FROM items WHERE name = ?", (name,))
    place, end = created * TIES, (created + 1) * TIES
    last = "SELECT max(id) FROM items WHERE id >= ? AND id < ?"
    while (taken := db.execute(last, (place, end)).fetchone()[0]) is not None:
        place = taken + 1
        if place < end:
            break
        end += TIES
    made_for_one = _MADE_FOR_ONE.replace("OLD.picture", "?2")
    db.execute(
        f"INSERT INTO items VALUES (?1, ?2, ?3, ?4, {made_for_one}, ?5)",
        (place, name, stamp, comparison, _checksum(name, stamp)),
    )
    db.execute("INSERT INTO texts (rowid, words) VALUES (?, ?)", (place, searchable(words)))
    return place


def tag_item(db: sqlite3.Connection, place: int, tags: Iterable[Tag]) -> None:
    """Let an item be found by ``tags``."""
    known = (
        "INSERT INTO facets (kind, value, label) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (kind, value) DO UPDATE SET label = ?3"
    )
    add = "INSERT OR IGNORE INTO tags SELECT tag, ? FROM facets WHERE kind = ? AND value = ?"
    for kind, value, label in tags:
        db.execute(known, (kind, value, label))
        db.execute(add, (place, kind, value))
