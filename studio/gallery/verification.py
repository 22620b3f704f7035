"""Whether a picture is still what its record says, and the record what it was.

It shows every accidental change and every careless one: a flipped byte, a cut or longer
file, pixels saved again, a record moved from another picture, an edited field. It cannot
show a forgery whose author computed all hashes anew; see ``record_png``. A record of an older
release is as whole as one of today; one of a newer release is not judged.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from studio import __version__
from studio.contract import audit
from studio.contract.base import SCHEMA, canonical_json
from studio.contract.receipt import RunRecord
from studio.contract.request import ReferenceImage
from studio.errors import GalleryError, NewerRecord, RecordError, UnusableReference
from studio.gallery import infotext, record_png
from studio.gallery.reference_store import KeptReferences
from studio.imaging import png
from studio.imaging.references import FOLDER, SUFFIX, load
from studio.storage import atomic

_KINDS = ("IHDR", "iTXt", "IDAT", "IEND")
_KEYS = {record_png.RECORD_KEY, record_png.HASH_KEY, record_png.PARAMETERS_KEY}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: stable: ``file``, ``structure``, ``chunks``, ``record``, ``newer_record`` (a
            later release wrote it, and only its SHA-256 was checked), ``record_hash``,
            ``record_form``, ``fingerprint``, ``receipt``, ``size``, ``pixels``, ``parameters``
            or ``reference``.
        text: what it means, one sentence.
        expected, found: both sides, as text.
    """

    code: str
    text: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer.

    Attributes:
        record: None where none could be read, and of a reference image, which has none.
        unseen: the picture was made from reference images that nobody looked for.
    """

    findings: tuple[Finding, ...]
    record: RunRecord | None
    unseen: bool = False

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def written_by(self) -> str | None:
        """The release of the studio that made the picture; None where it does not say."""
        return self.record.plan.release if self.record else None

    @property
    def other_release(self) -> str | None:
        """``written_by``, where that is known and is not this release."""
        return None if self.written_by == __version__ else self.written_by


def verify(path: Path, kept: Callable[[str], Path] | None = None) -> Verification:
    """Check the picture at ``path``; whatever is wrong is a finding, nothing is raised.

    Args:
        kept: SHA-256 → where the reference images of its gallery lie; None leaves them out,
            for a picture that is somewhere else.
    """
    try:
        data = atomic.read_file(path, png.MAX_FILE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        finding = Finding("file", f"The file cannot be read: {reason}.", "a PNG file", reason)
        return Verification((finding,), None)
    verified = examine(data)
    if verified.record is None:
        return verified
    if kept is None:
        return replace(verified, unseen=bool(verified.record.plan.references))
    references = tuple(_references(verified.record, kept))
    return replace(verified, findings=(*verified.findings, *references))


def kept_beside(path: Path) -> Callable[[str], Path] | None:
    """``verify``'s ``kept`` for the picture at ``path``, by the gallery it lies in; None where
    it lies in none."""
    outputs = Path(os.path.realpath(path)).parent.parent
    is_gallery = (outputs / "index.sqlite").is_file() or (outputs / FOLDER).is_dir()
    return KeptReferences(outputs / FOLDER).path if is_gallery else None


def is_reference(path: Path) -> bool:
    """Whether ``path`` is named like a gallery's copy of a reference image."""
    place = Path(os.path.realpath(path))
    named = re.fullmatch(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}", place.name)
    return named is not None and place.parent.name == FOLDER


def verify_reference(path: Path) -> Verification:
    """Whether a reference image still has the pixels that its name says; nothing is raised."""
    # Its pixels alone are compared; its size follows from them.
    wanted = ReferenceImage(sha256=path.stem, width=0, height=0)
    return Verification(tuple(_reference(path, wanted)), None)


def _references(record: RunRecord, kept: Callable[[str], Path]) -> Iterator[Finding]:
    """What an edit was made from is still there, pixel by pixel."""
    for each in record.plan.references:
        yield from _reference(kept(each.sha256), each)


def _reference(path: Path, wanted: ReferenceImage) -> Iterator[Finding]:
    try:
        load(path, wanted)
    except UnusableReference as error:
        expected = f"the image with pixels {wanted.sha256[:12]}…"
        yield Finding("reference", error.message, expected, error.reason)


def examine(data: bytes) -> Verification:
    """As ``verify``, for the bytes of a file."""
    try:
        chunks = png.chunks(data)
        texts = png.texts(chunks)
    except GalleryError as error:
        return Verification((broken("structure", "an intact PNG file", error),), None)
    findings = list(_chunks(chunks, texts))
    try:
        record = record_png.record_of(texts)
    except NewerRecord as error:
        finding = broken(error.code, f"schema version {SCHEMA} or lower", error)
        return Verification((*findings, finding, *_record_hash(texts)), None)
    except RecordError as error:
        finding = broken("record", "a record as the studio writes it", error)
        return Verification((*findings, finding), None)
    findings += _record(record, texts)
    findings += _image(data, record)
    return Verification(tuple(findings), record)


def broken(code: str, expected: str, error: GalleryError) -> Finding:
    return Finding(code, error.message, expected, error.message)


def _chunks(chunks: tuple[png.Chunk, ...], texts: Mapping[str, str]) -> Iterator[Finding]:
    """The file holds what the studio writes: other chunks could change what is seen."""
    extra = sorted({chunk.kind for chunk in chunks} - set(_KINDS))
    if extra:
        kinds = ", ".join(extra)
        text = f"The file holds chunks that the studio does not write: {kinds}."
        yield Finding("chunks", text, ", ".join(_KINDS), kinds)
    if texts.keys() != _KEYS:
        expected, found = ", ".join(sorted(_KEYS)), ", ".join(sorted(texts)) or "none"
        text = f"The file's texts are {found}; the studio writes {expected}."
        yield Finding("chunks", text, expected, found)


def _record_hash(texts: Mapping[str, str]) -> Iterator[Finding]:
    yield from _compare(
        "record_hash",
        "The record is not the one that was written: its SHA-256 differs from the one beside it.",
        texts.get(record_png.HASH_KEY, "none"),
        record_png.sha256_of_text(texts[record_png.RECORD_KEY]),
    )


def _record(record: RunRecord, texts: Mapping[str, str]) -> Iterator[Finding]:
    yield from _record_hash(texts)
    if texts[record_png.RECORD_KEY] != canonical_json(record.model_dump(mode="json")):
        yield Finding(
            "record_form",
            "The record was edited: it is not in the canonical form of any release.",
            "canonical JSON of the record",
            "other text that reads as the same record",
        )
    yield from _compare(
        "fingerprint",
        "The plan is not the one that was agreed: its fingerprint differs from the record's.",
        record.plan_fingerprint,
        record.plan.fingerprint,
    )
    for sentence in audit.discrepancies(record.plan, record.receipt):
        yield Finding("receipt", sentence, "what the plan says", sentence)
    yield from _compare(
        "parameters",
        "The text for other tools does not say what the record says.",
        infotext.write(record),
        texts.get(record_png.PARAMETERS_KEY, "none"),
    )


def _image(data: bytes, record: RunRecord) -> Iterator[Finding]:
    try:
        image = record_png.decode(data)
    except GalleryError as error:
        yield broken("structure", "pixels that decode", error)
        return
    said = record.receipt.image
    yield from _compare(
        "size",
        "The picture has not the size that its receipt reports.",
        f"{said.width} x {said.height}",
        f"{image.width} x {image.height}",
    )
    yield from _compare(
        "pixels",
        "The pixels are not the ones that were made: their SHA-256 differs from the receipt's.",
        said.pixels_sha256,
        png.pixels_sha256(image),
    )


def _compare(code: str, text: str, expected: str, found: str) -> Iterator[Finding]:
    if expected != found:
        yield Finding(code, text, expected, found)
