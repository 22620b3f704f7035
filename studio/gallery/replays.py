"""Evidence of pictures that were made again, beside the pictures.

outputs/2026-11-22/153012-1a2b3c4d-1.replay-1.json   the record and its SHA-256
"""

import json
import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from studio.comparison.replay import Distance, ReplayRecord, judge
from studio.contract.base import canonical_json, parse_written
from studio.errors import GalleryError, NewerRecord, RecordError
from studio.gallery.findings import Finding, Verification, broken
from studio.gallery.record_png import sha256_of_text
from studio.gallery.verification import kept_beside, verify
from studio.imaging import difference
from studio.storage import atomic

_NAME = re.compile(r"(.+)\.replay-\d+\.json")
MAX_RECORD = 2**24
"""Bytes of the largest record that is read."""
_WAY_OUT = "Replay the picture again."


def is_replay(path: Path) -> bool:
    """Whether ``path`` is named like the evidence of a replay."""
    return _NAME.fullmatch(path.name) is not None


def picture_of(path: Path) -> Path:
    """The picture that the evidence at ``path`` is of."""
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return path.with_name(f"{found[1]}.png")


def replays_of(picture: Path) -> list[Path]:
    """The evidence beside a picture, in no order."""
    beside = picture.parent.glob("*.json") if picture.parent.is_dir() else iter(())
    return [path for path in beside if is_replay(path) and picture_of(path) == picture]


def keep(picture: Path, record: ReplayRecord) -> Path:
    """Write the evidence beside ``picture``, durably and under a name of its own.

    Raises:
        GalleryError: the disk does not take it.
    """
    said = record.model_dump(mode="json")
    text = canonical_json({"record": said, "sha256": record.fingerprint})
    with atomic.storing(picture.parent):
        return atomic.publish(
            picture.parent, f"{picture.stem}.replay", ".json", text.encode("utf-8")
        )


def read(path: Path) -> ReplayRecord:
    """The evidence at ``path``.

    Raises:
        GalleryError: it cannot be read.
        RecordError: it is none, or was changed.
    """
    try:
        whole = json.loads(atomic.read_file(path, MAX_RECORD))
        text, said = canonical_json(whole["record"]), whole["sha256"]
    except OSError as error:
        raise GalleryError(
            f"{path.name} cannot be read: {error.strerror or error}.",
            "Check that the file is still there and may be read.",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            f"{path.name} is no evidence of a replay ({type(error).__name__}).", _WAY_OUT
        ) from error
    if sha256_of_text(text) != said:
        raise RecordError(
            f"{path.name} was edited: its SHA-256 is not the one that was written.", _WAY_OUT
        )
    return parse_written(ReplayRecord, text, f"The replay {path.name}", _WAY_OUT)


def verify_replay(path: Path, trust: str = "") -> Verification:
    """Whether the evidence at ``path`` is whole, is of the picture beside it, and says what
    follows from both receipts; nothing is raised. Codes: ``replay`` and ``newer_record``, and
    those of the picture."""
    try:
        record = read(path)
    except GalleryError as error:
        code = error.code if isinstance(error, NewerRecord) else "replay"
        return Verification((broken(code, "the evidence as written", error),), None)
    place = picture_of(path)
    answer = verify(place, kept_beside(place), trust)
    if answer.record is None or not answer.ok:
        return answer
    expected = (record.record_fingerprint, record.plan_fingerprint)
    found = (answer.record.fingerprint, answer.record.plan_fingerprint)
    if expected != found:
        text = f"The picture beside it, {place.name}, is not the one that was made again."
        return Verification((Finding("replay", text, expected[0], found[0]),), answer.record)
    judged = judge(answer.record, record.receipt, record.libraries, record.distance)
    said = (record.outcome, record.stage, record.changes)
    if said != (judged.outcome, judged.stage, judged.changes):
        text = "What it says of the picture does not follow from the receipts."
        return Verification(
            (Finding("replay", text, judged.outcome, record.outcome),), answer.record
        )
    return replace(answer, replayed=record.words)


def distance(one: Image.Image, other: Image.Image) -> Distance | None:
    """None where the pixels are the same; the sizes are."""
    if one.tobytes() == other.tobytes():
        return None
    measures = difference.measure(one, other)
    assert measures is not None
    return Distance(
        largest=difference.largest(one, other),
        mean=measures.mean_absolute_difference,
        similarity=measures.structural_similarity,
    )
