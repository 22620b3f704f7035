"""Whether a picture is still what its record says, and the record what it was.

It shows every accidental change and every careless one: a flipped byte, a cut or longer
file, pixels saved again, a record moved from another picture, an edited field. It cannot
show a forgery whose author computed all hashes anew; see ``record_png``. A record of an older
release is as whole as one of today; one of a newer release is not judged.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from studio.contract import audit
from studio.contract.base import SCHEMA, canonical_json
from studio.contract.receipt import RunRecord
from studio.contract.request import ReferenceImage
from studio.contract.statement import Statement
from studio.errors import GalleryError, NewerRecord, RecordError, UnusableReference
from studio.gallery import infotext, marks, record_png
from studio.gallery.findings import Finding, Verification, broken
from studio.gallery.reference_store import KeptReferences
from studio.gallery.row import INDEX
from studio.gallery.signatures import CHUNK, order_of, problems, signature_of
from studio.imaging import png
from studio.imaging.references import FOLDER, SUFFIX, load
from studio.signing.manifest import PICTURE_LABEL
from studio.signing.reading import Signature
from studio.storage import atomic

_KINDS = ("IHDR", "iTXt", "IDAT", "IEND")
_KEYS = {record_png.RECORD_KEY, record_png.HASH_KEY, record_png.PARAMETERS_KEY}
_HARMLESS = {
    "caBX": "a C2PA manifest",
    "tEXt": "a text",
    "zTXt": "a compressed text",
    "tIME": "a time of change",
}
"""Chunks that other tools add and no viewer shows, with what they are in words."""


def verify(path: Path, kept: Callable[[str], Path] | None = None, trust: str = "") -> Verification:
    """Check the picture at ``path``; whatever is wrong is a finding, nothing is raised.

    Args:
        kept: SHA-256 → where the reference images of its gallery lie; None leaves them out,
            for a picture that is somewhere else.
        trust: root certificates whose signatures are called trusted, PEM.
    """
    try:
        data = atomic.read_file(path, png.MAX_FILE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        finding = Finding("file", f"The file cannot be read: {reason}.", "a PNG file", reason)
        return Verification((finding,), None)
    verified = examine(data, trust)
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
    is_gallery = (outputs / INDEX).is_file() or (outputs / FOLDER).is_dir()
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


def examine(data: bytes, trust: str = "", signed: bool = True) -> Verification:
    """As ``verify``, for the bytes of a file.

    Args:
        signed: look at the signature, if there is one.
    """
    try:
        chunks = png.chunks(data)
        texts = png.texts(chunks)
    except GalleryError as error:
        return Verification((broken("structure", "an intact PNG file", error),), None)
    findings = list(_chunks(chunks, texts))
    signature = signature_of(data, chunks, trust) if signed else None
    try:
        record = record_png.record_of(texts)
    except NewerRecord as error:
        finding = broken(error.code, f"schema version {SCHEMA} or lower", error)
        return Verification((*findings, finding, *_record_hash(texts)), None)
    except RecordError as error:
        finding = broken("record", "a record as the studio writes it", error)
        return Verification(
            (*findings, finding), None, pixels_sha256=_pixels(data), signature=signature
        )
    findings += _record(record, texts)
    findings += _image(data, record)
    additions = tuple(_additions(chunks, texts, record, signature))
    if signed:
        findings += _signature(chunks, record, signature, not findings and not additions)
    return Verification(tuple(findings), record, additions=additions, signature=signature)


def _signature(
    chunks: tuple[png.Chunk, ...], record: RunRecord, signature: Signature | None, alone: bool
) -> Iterator[Finding]:
    """Args:
    alone: nothing else was found that would say what broke it.
    """
    said = Statement.of(record) if record.signer else None
    for text in problems(record.signer, signature, PICTURE_LABEL, said):
        order = order_of(chunks, record_png.keywords(record)) if alone and signature else None
        found = " ".join(filter(None, (text, order)))
        yield Finding("signature", found, f"signed by {record.signer}", text)


def _pixels(data: bytes) -> str | None:
    """The SHA-256 by which the gallery knows a picture that lost its texts."""
    try:
        return png.pixels_sha256(record_png.decode(data))
    except GalleryError:
        return None


def _chunks(chunks: tuple[png.Chunk, ...], texts: Mapping[str, str]) -> Iterator[Finding]:
    """The file holds what the studio writes: other chunks could change what is seen."""
    extra = sorted({chunk.kind for chunk in chunks} - set(_KINDS) - set(_HARMLESS))
    if extra:
        kinds = ", ".join(extra)
        text = f"The file holds chunks that the studio does not write: {kinds}."
        yield Finding("chunks", text, ", ".join(_KINDS), kinds)
    said_twice = [name for name in _plain_keywords(chunks) if name in _KEYS | {marks.XMP_KEY}]
    if not texts.keys() >= _KEYS or said_twice:
        expected, found = ", ".join(sorted(_KEYS)), ", ".join(sorted([*texts, *said_twice]))
        text = f"The file's texts are {found or 'none'}; the studio writes {expected}."
        yield Finding("chunks", text, expected, found or "none")


def _plain_keywords(chunks: tuple[png.Chunk, ...]) -> Iterator[str]:
    for chunk in chunks:
        if chunk.kind in ("tEXt", "zTXt"):
            yield chunk.data.partition(b"\0")[0].decode("latin-1")


def _additions(
    chunks: tuple[png.Chunk, ...],
    texts: Mapping[str, str],
    record: RunRecord,
    signature: Signature | None,
) -> Iterator[str]:
    """What others added: it changes neither the pixels nor the record."""
    known = _KEYS if record.source_type is None else _KEYS | {marks.XMP_KEY}
    for name in sorted(texts.keys() - known):
        yield f"a text {name!r}"
    own = {CHUNK} if record.signer else set()
    for kind in sorted({chunk.kind for chunk in chunks} & set(_HARMLESS) - own):
        words = f", {signature.words}" if kind == CHUNK and signature else ""
        yield f"{_HARMLESS[kind]} ({kind}){words}"


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
    yield from _mark(record, texts)
    for sentence in audit.discrepancies(record.plan, record.receipt):
        yield Finding("receipt", sentence, "what the plan says", sentence)
    found, spellings = texts.get(record_png.PARAMETERS_KEY, "none"), infotext.spellings(record)
    yield from _compare(
        "parameters",
        "The text for other tools does not say what the record says.",
        found if found in spellings else spellings[0],
        found,
    )


def _mark(record: RunRecord, texts: Mapping[str, str]) -> Iterator[Finding]:
    if record.source_type is None:  # an addition, if it is there at all
        return
    yield from _compare(
        "mark",
        "The mark that says a model made the picture is not the one that was written.",
        marks.of_record(record).get(marks.XMP_KEY, "none"),
        texts.get(marks.XMP_KEY, "none"),
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
        "The image size differs from the receipt.",
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
