"""What the gallery knows of a picture without opening it, and what one may ask it for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from studio.architecture import Mode
from studio.contract.receipt import RunRecord
from studio.errors import RecordError

INDEX = "index.sqlite"
"""The index's file in the outputs; with its folder of references it makes a gallery."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

FileStamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds: whether a file is the one we read."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pictures: all that agree with everything that is given.

    Attributes:
        base, lora: preset slugs; a LoRA counts where it was applied.
        words: each must occur in the prompts, names or seed, upper and lower case alike.
    """

    base: str | None = None
    lora: str | None = None
    mode: Mode | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as the gallery knows it without opening it.

    Attributes:
        path: absolute; ``name`` is the same relative to the outputs, with ``/``.
        created: when its run finished, UTC.
        loras: slugs of the LoRAs that were applied.
        prompt: as typed.
        fingerprint: the plan's; ``record`` is the whole record's.
    """

    path: Path
    name: str
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
    """A value that occurs, the name people know it by, and in how many pictures."""

    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """What occurs in the gallery, most frequent first."""

    total: int
    bases: tuple[Facet, ...]
    loras: tuple[Facet, ...]
    modes: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A picture on its way into the index: columns of ``pictures``, and (slug, label)s.

    Attributes:
        references: SHA-256 of the reference images it was made from.
    """

    columns: tuple[str | int, ...]
    loras: tuple[tuple[str, str], ...]
    references: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, stamp: FileStamp, record: RunRecord) -> "Row":
        """The row for ``record`` in the file ``name``.

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
        columns = (
            *(name, (moment(record) - EPOCH) // MICROSECOND, *stamp),
            *(plan.base.slug, plan.base.label, plan.mode.value, plan.prompt.typed),
            *(image.seed, image.width, image.height, record.plan_fingerprint),
            *(record.fingerprint, image.pixels_sha256),
            "\n".join((*said, *names, str(image.seed))).casefold(),
        )
        references = dict.fromkeys(each.sha256 for each in plan.references)
        return cls(columns, tuple(loras.items()), tuple(references))


def _is_text(name: str) -> bool:
    """Whether a name from the disk is text; bytes that are none come as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def moment(record: RunRecord) -> datetime:
    """When the run finished, with its zone; without one in the record it is UTC.

    Raises:
        RecordError: when the record's time is no ISO 8601 time.
    """
    text = record.receipt.finished_at
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RecordError(
            f"The record says that its run finished at {text!r}, which is not a time.",
            "Take the picture from a copy of the file that was not changed.",
        ) from error
