"""Decisions on disk, one file for each record they are bound to.

outputs/.reviews/<fingerprint of the record>.jsonl   only appended; gone with its last picture
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.comparison.review import Decision, Judgement, ReviewState, verdicts
from studio.contract.base import canonical_json, parse_written
from studio.errors import RecordError
from studio.gallery import jsonl
from studio.gallery.row import APPROVED_BY, REJECTED_BY, STANDING, Tag
from studio.storage import atomic

_SUFFIX = ".jsonl"
_WAY_OUT = "Correct or remove the file; the pictures are untouched."

_log = logging.getLogger("studio.gallery.decisions")


class Decisions:
    """The decisions under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, decision: Decision) -> None:
        """Keep a decision, durably.

        Raises:
            GalleryError: when the disk does not take it.
        """
        line = canonical_json(decision.model_dump(mode="json"))
        jsonl.append(self._path(decision.record_fingerprint), line)

    def on(self, record_fingerprint: str) -> tuple[Decision, ...]:
        """Every decision on exactly this record, oldest first; a last one that was cut off
        while it was written does not count.

        Raises:
            RecordError: a line is none, or is bound to another record.
        """
        path = self._path(record_fingerprint)
        what = f"A decision in {path.name}"
        lines = _read(path).whole
        found = tuple(parse_written(Decision, line, what, _WAY_OUT) for line in lines)
        if any(each.record_fingerprint != record_fingerprint for each in found):
            raise _bad(path, "a decision is bound to another record")
        return found

    def tags(self, record_fingerprint: str) -> tuple[Tag, ...]:
        """What the decisions on a record say of its pictures; nothing where they are not to be
        read, which opening such a picture says."""
        try:
            return tags_of(self.on(record_fingerprint))
        except RecordError as error:
            _log.warning("%s", error.message)
            return tags_of(())

    def has_torn(self, record_fingerprint: str) -> bool:
        """Whether the last decision on this record was cut off while it was written.

        Raises:
            RecordError: the file cannot be read.
        """
        return _read(self._path(record_fingerprint)).torn

    def records(self) -> Iterator[str]:
        """Fingerprints of the records that were decided on, sorted."""
        if self.folder.is_dir():
            for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
                yield path.name.removesuffix(_SUFFIX)

    def forget(self, record_fingerprint: str) -> None:
        """The last picture with this record is gone, and its decisions with it.

        Raises:
            GalleryError: when the disk does not let them go.
        """
        with atomic.storing(self.folder):
            self._path(record_fingerprint).unlink(missing_ok=True)

    def _path(self, record_fingerprint: str) -> Path:
        return self.folder / f"{record_fingerprint}{_SUFFIX}"


def tags_of(decisions: Iterable[Decision]) -> tuple[Tag, ...]:
    """What a picture with these decisions is found by."""
    last = verdicts(decisions)
    standing = ReviewState.of(last.values())
    kind = {Judgement.APPROVE: APPROVED_BY, Judgement.REJECT: REJECTED_BY}
    by = ((kind[judgement], name, name) for name, judgement in last.items())
    return ((STANDING, standing.value, standing.label), *by)


def _read(path: Path) -> jsonl.Lines:
    try:
        return jsonl.read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(path, type(error).__name__) from error


def _bad(path: Path, reason: str) -> RecordError:
    return RecordError(f"The decisions in {path.name} cannot be read ({reason}).", _WAY_OUT)
