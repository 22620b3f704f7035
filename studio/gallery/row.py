"""What the gallery knows of a picture without opening it, and what one may ask it for."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from studio.architecture import Mode
from studio.comparison.review import ReviewState
from studio.contract.receipt import RunRecord
from studio.errors import RecordError

INDEX = "index.sqlite"
"""The index's file in the outputs; with its folder of references it makes a gallery."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIES = 1024
"""Places for the items of one microsecond; further ones follow in the next."""
_FURTHEST = (2**63 - 2**40) // TIES
"""Microseconds from 1970 that SQLite's numbers have places for: until the year 2255."""

FileStamp = str
"""Size in bytes and modification time in nanoseconds: whether a file is the one we read."""
Tag = tuple[str, str, str]
"""What an item is found by: kind (``base``, ``lora``, ``mode`` or one of ``REVIEW``), value, and
the name people know it by."""

STANDING = "standing"
APPROVED_BY, REJECTED_BY = "approved by", "rejected by"
REVIEW = (STANDING, APPROVED_BY, REJECTED_BY)
"""The kinds of tags that decisions give a picture."""


def index_of(outputs: Path, index: Path | None) -> Path:
    """Where the index of a gallery lies: in ``index``, which may hold several, else in itself."""
    if index is None:
        return outputs / INDEX
    return index / f"{hashlib.sha256(os.fsencode(outputs)).hexdigest()[:16]}-{INDEX}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pictures: all that agree with everything that is given.

    Attributes:
        base, lora: preset slugs; a LoRA counts where it was applied.
        words: each must occur in the prompts, names or seed, upper and lower case alike; of fewer
            than three letters, at the beginning of a word.
        standing: what the reviewers make of it, or ``by`` alone where one is named.
        by: a reviewer, who decided on it unless ``standing`` says otherwise.
    """

    base: str | None = None
    lora: str | None = None
    mode: Mode | None = None
    words: str = ""
    standing: ReviewState | None = None
    by: str | None = None

    @property
    def asks_reviewers(self) -> bool:
        """Decisions are on pictures, so such a filter finds the cells of comparisons too."""
        return self.standing is not None or self.by is not None


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as the gallery knows it without opening it.

    Attributes:
        path: absolute; ``name`` is the same relative to the outputs, with ``/``.
        place: in the order of the gallery, see ``place_at``.
        created: when its run finished, UTC.
        loras: slugs of the LoRAs that were applied.
        prompt: as typed.
        fingerprint: the plan's; ``record`` is the whole record's.
    """

    path: Path
    name: str
    place: int
    created: datetime
    base: str
    base_label: str
    mode: Mode
    prompt: str
    seed: int
    width: int
    height: int
    fingerprint: str
    record: str
    loras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facet:
    """A value that occurs, the name people know it by, and in how many items."""

    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class UseCount:
    """In how many pictures a LoRA was applied, and when last: microseconds since ``EPOCH``."""

    count: int
    last: int


@dataclass(frozen=True, slots=True)
class Facets:
    """What occurs in the gallery, most frequent first; ``reviewers`` by name."""

    total: int
    bases: tuple[Facet, ...]
    loras: tuple[Facet, ...]
    modes: tuple[Facet, ...]
    reviewers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A picture on its way into the index.

    Attributes:
        created: microseconds since 1970.
        columns: those of ``pictures``, but for its place.
        words: what a search finds it by.
        references: SHA-256 of the reference images it was made from.
    """

    name: str
    stamp: FileStamp
    created: int
    columns: tuple[str | int, ...]
    tags: tuple[Tag, ...]
    words: str
    references: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, stamp: FileStamp, record: RunRecord, review: tuple[Tag, ...]) -> "Row":
        """The row for ``record`` in the file ``name``; ``review`` are the tags of its decisions.

        Raises:
            RecordError: when its time or a number is none that a run can have, or the file
                has a name that is not text.
        """
        if not _is_text(name):
            raise RecordError("Its file name is not UTF-8.", "Rename the file.")
        plan, image = record.plan, record.receipt.image
        if not all(0 <= number < 2**63 for number in (image.seed, image.width, image.height)):
            raise RecordError("The record's seed or size is out of range.", "Delete the file.")
        labels = {use.slug: use.label for use in plan.loras}
        loras = {lora.slug: labels.get(lora.slug, lora.slug) for lora in record.receipt.loras}
        said = (plan.prompt.typed, plan.prompt.text, plan.prompt.negative_text)
        names = (plan.base.slug, plan.base.label, *loras, *loras.values(), plan.mode.label)
        return cls(
            name=name,
            stamp=stamp,
            created=microseconds(moment(record)),
            columns=(
                *(plan.base.slug, plan.base.label, plan.mode.value, plan.prompt.typed),
                *(image.seed, image.width, image.height, record.plan_fingerprint),
                *(record.fingerprint, image.pixels_sha256, "\n".join(sorted(loras))),
            ),
            tags=(
                ("base", plan.base.slug, plan.base.label),
                ("mode", plan.mode.value, plan.mode.label),
                *(("lora", *lora) for lora in loras.items()),
                *review,
            ),
            words="\n".join((*said, *names, str(image.seed))),
            references=tuple(dict.fromkeys(each.sha256 for each in plan.references)),
        )


def _is_text(name: str) -> bool:
    """Whether a name from the disk is text; bytes that are none come as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - EPOCH) // MICROSECOND


def place_at(at: datetime) -> int:
    """The first place in the order of the gallery for what was made at ``at``: later things have
    higher places, and things of one moment follow one another."""
    return microseconds(at) * TIES


def created_at(place: int) -> datetime:
    """When what stands at ``place`` was made."""
    return EPOCH + place // TIES * MICROSECOND


def moment(record: RunRecord) -> datetime:
    """When the run finished, with its zone; without one in the record it is UTC.

    Raises:
        RecordError: when the record's time is no ISO 8601 time, or centuries away.
    """
    text = record.receipt.finished_at
    try:
        read = datetime.fromisoformat(text)
        at = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        if abs(microseconds(at)) > _FURTHEST:
            raise OverflowError
        return at
    except (ValueError, OverflowError) as error:
        raise RecordError(
            f"The record says that its run finished at {text!r}, which is not a time.",
            "Take the picture from a copy of the file that was not changed.",
        ) from error
