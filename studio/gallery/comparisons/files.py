"""A comparison on disk: a JSON record, its contact sheet, and the votes on it.

outputs/2026-11-22/153012-1a2b3c4d-1.comparison.json   the record and its SHA-256
outputs/2026-11-22/153012-1a2b3c4d-1.comparison.png    the sheet, the record inside
outputs/2026-11-22/153012-1a2b3c4d-1.votes.jsonl       blind votes, one a line, only appended
"""

import io
import json
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from PIL import Image

from studio import __version__
from studio.comparison.record import ComparisonRecord
from studio.comparison.votes import BlindVote
from studio.contract.base import canonical_json, parse_written
from studio.errors import GalleryError, RecordError
from studio.gallery import jsonl, marks
from studio.gallery.record_png import demand_sealer, sha256_of_text
from studio.imaging import png
from studio.signing.manifest import of_sheet
from studio.signing.sealing import Sealer
from studio.storage import atomic

JSON_SUFFIX = ".comparison.json"
SHEET_SUFFIX = ".comparison.png"
VOTES_SUFFIX = ".votes.jsonl"
RECORD_KEY = "lora-studio-comparison"
HASH_KEY = "lora-studio-comparison-sha256"
MAX_RECORD = 16 * 2**20
MAX_VOTES = 2**20
"""Bytes of the votes on one comparison: some thousands."""
"""Bytes of the largest record that is read."""
_WAY_OUT = "Take it from a copy that was not changed, or run the comparison again."
_VOTES_WAY_OUT = "Correct or remove the file; the comparison itself is untouched."


def stem_of(path: Path) -> str:
    """The name that a comparison's files share.

    Raises:
        GalleryError: ``path`` is none of them.
    """
    for suffix in (JSON_SUFFIX, SHEET_SUFFIX, VOTES_SUFFIX):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    raise GalleryError(f"{path.name} is not a comparison.", "Name a .comparison.json file.")


def sheet_of(path: Path) -> Path:
    return path.with_name(stem_of(path) + SHEET_SUFFIX)


def votes_of(path: Path) -> Path:
    return path.with_name(stem_of(path) + VOTES_SUFFIX)


def write(
    outputs: Path, record: ComparisonRecord, sheet: Image.Image, sealer: Sealer | None = None
) -> Path:
    """Keep record and sheet under a name of their own; the path of the record.

    The sheet is on the disk before the record, which alone makes them a comparison.

    Raises:
        GalleryError: when the sheet is not the record's, or the disk does not take them.
    """
    if png.pixels_sha256(sheet) != record.sheet_pixels_sha256:
        raise GalleryError(
            "The contact sheet is not the one of its record.",
            "Nothing was saved; this is a fault of the studio, please report it.",
        )
    text = canonical_json(record.model_dump(mode="json"))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    texts = {RECORD_KEY: text, HASH_KEY: sha256_of_text(text)}
    if record.source_type is not None:
        number = record.plan_fingerprint
        mark = marks.xmp(record.source_type, __version__, record.producer, number)
        texts = {marks.XMP_KEY: mark} | texts
    picture = png.with_texts(buffer.getvalue(), texts)
    if record.signer is not None:
        sealer = demand_sealer(sealer, record.signer)
        picture = sealer.seal(picture, "image/png", of_sheet(record, __version__))
    file = canonical_json({"record": json.loads(text), "sha256": sha256_of_text(text)})
    local = datetime.fromisoformat(record.finished_at).astimezone()
    stem = f"{local:%H%M%S}-{record.plan_fingerprint[:8]}"
    with atomic.storing(outputs):
        folder = outputs / f"{local:%Y-%m-%d}"
        with ExitStack() as cleanup:
            companions = (JSON_SUFFIX, VOTES_SUFFIX)
            kept = atomic.publish(folder, stem, SHEET_SUFFIX, picture, companions)
            cleanup.callback(kept.unlink, missing_ok=True)
            path = kept.with_name(stem_of(kept) + JSON_SUFFIX)
            atomic.settle(path, file.encode("utf-8"))
            cleanup.pop_all()
    return path


def read(path: Path) -> ComparisonRecord:
    """The record at ``path``.

    Raises:
        GalleryError: it cannot be read.
        RecordError: it is not a comparison's record, or was changed.
    """
    try:
        data = atomic.read_file(path, MAX_RECORD + 1)
    except OSError as error:
        raise GalleryError(
            f"{path.name} cannot be read: {error.strerror or error}.",
            "Check that the file is still there and may be read.",
        ) from error
    if len(data) > MAX_RECORD:
        raise _bad(path, f"it is larger than {MAX_RECORD} bytes")
    try:
        whole = json.loads(data)
        text, said = canonical_json(whole["record"]), whole["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(path, f"it is not such a record ({type(error).__name__})") from error
    if sha256_of_text(text) != said:
        raise _bad(path, "its SHA-256 is not the one that was written beside it")
    return parse_written(ComparisonRecord, text, f"The comparison {path.name}", _WAY_OUT)


def _bad(path: Path, reason: str) -> RecordError:
    return RecordError(f"The comparison {path.name} cannot be read: {reason}.", _WAY_OUT)


def append_vote(path: Path, vote: BlindVote) -> None:
    """Keep a vote with the comparison at ``path``, durably.

    Raises:
        GalleryError: when the disk does not take it, or there are MAX_VOTES bytes already.
    """
    place = votes_of(path)
    if place.is_file() and place.stat().st_size >= MAX_VOTES:
        raise GalleryError(
            "There are more votes on this comparison than are kept.",
            "Compare again: the pictures are taken from the gallery.",
        )
    jsonl.append(votes_of(path), canonical_json(vote.model_dump(mode="json")))


def read_votes(path: Path, record: ComparisonRecord) -> tuple[BlindVote, ...]:
    """The votes on exactly this record, oldest first; a vote on another one is none of its, and
    a last one that was cut off does not count.

    Raises:
        RecordError: the file cannot be read, or a whole line is no vote.
    """
    what = f"A vote in {votes_of(path).name}"
    votes = [parse_written(BlindVote, line, what, _VOTES_WAY_OUT) for line in _lines(path).whole]
    return tuple(vote for vote in votes if vote.comparison == record.fingerprint)


def has_torn_vote(path: Path) -> bool:
    """Whether the last vote was cut off while it was written, so that it does not count.

    Raises:
        RecordError: the file cannot be read.
    """
    return _lines(path).torn


def _lines(path: Path) -> jsonl.Lines:
    place = votes_of(path)
    try:
        return jsonl.read(place)
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_votes(place, error) from error


def _bad_votes(place: Path, error: Exception) -> RecordError:
    return RecordError(
        f"The votes in {place.name} cannot be read ({type(error).__name__}).", _VOTES_WAY_OUT
    )
