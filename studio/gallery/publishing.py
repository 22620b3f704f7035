"""Pictures for others: with all that is known, with the facts and no prompt, or the mark alone.

A published file is a PNG, JPEG or WebP whose XMP holds the mark and a ``Publication``, which says
how much it tells and binds it to the picture; where SIGN is set it is signed. JPEG is another
encoding of the picture; PNG and WebP (lossless) have its very pixels.
"""

import hashlib
import html
import io
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from studio import __version__
from studio.contract.audit import discrepancies
from studio.contract.base import Sha256, Versioned, canonical_json, parse_written
from studio.contract.receipt import RunRecord
from studio.contract.statement import Statement
from studio.errors import GalleryError, NewerRecord, RecordError, UnusableReference
from studio.gallery import infotext, marks, record_png
from studio.gallery.findings import Finding, Verification, broken
from studio.gallery.signatures import problems
from studio.gallery.verification import examine
from studio.imaging import containers, decoding, png
from studio.imaging.inherited import manifests_of, packet_of
from studio.signing import manifest, reading
from studio.signing.manifest import PICTURE_LABEL
from studio.signing.sealing import Sealer
from studio.storage import atomic

MAX_JPEG_XMP = 65_000
"""Bytes of XMP that fit into a JPEG's one segment."""
QUALITY = 95
_SPACE = "https://github.com/lora-studio/ns/published/1.0/"
_OPEN = f'   <studio:Publication xmlns:studio="{_SPACE}">'
_CLOSE = "</studio:Publication>\n"
_FIELD = re.compile(re.escape(_OPEN) + r"([^<]*)" + re.escape(_CLOSE))
_END = "  </rdf:Description>"
_USER_COMMENT, _EXIF_IFD = 0x9286, 0x8769
_BARE = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="">
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""


class Disclosure(StrEnum):
    """How much a published file tells."""

    ALL = "all"
    FACTS = "facts"
    """Base, LoRAs, references and what was counted; nothing of the prompt, settings or times."""
    MARKS = "marks"
    """That a model made it, and nothing else."""


class PictureFormat(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        return ".jpg" if self is PictureFormat.JPEG else f".{self.value}"


class Publication(Versioned):
    """What a published file says of itself.

    Attributes:
        image_sha256: of the pixels; of a JPEG, of its bytes without the segments of metadata.
        mark_sha256: of the XMP around this.
        record: the whole record, canonical JSON.
        signer: number of the certificate that the file is signed with.
    """

    disclosure: Disclosure
    format: PictureFormat
    image_sha256: Sha256
    mark_sha256: Sha256
    statement: Statement | None = None
    record: str | None = None
    signer: str | None = None

    @property
    def words(self) -> str:
        return {
            Disclosure.ALL: "with its whole record",
            Disclosure.FACTS: "with base, LoRAs and counts, and without the prompt",
            Disclosure.MARKS: "with the mark alone",
        }[self.disclosure]


def publish(
    data: bytes, disclosure: Disclosure, form: PictureFormat, sealer: Sealer | None = None
) -> bytes:
    """The picture ``data`` (a file of the gallery) as it is to be given away.

    Raises:
        GalleryError: the picture is not as it was made, or its record is too long for a JPEG.
        SigningError: it cannot be signed.
    """
    record, image = _whole(data)
    if disclosure is Disclosure.ALL and form is PictureFormat.PNG:
        return data  # the gallery's file tells all
    encoded = _encoded(image, form)
    mark = _inner(marks.of_record(record).get(marks.XMP_KEY, _BARE))
    said = Publication(
        disclosure=disclosure,
        format=form,
        image_sha256=_image_sha256(encoded, form),
        mark_sha256=record_png.sha256_of_text(mark),
        statement=Statement.of(record) if disclosure is Disclosure.FACTS else None,
        record=record_text(record) if disclosure is Disclosure.ALL else None,
        signer=sealer.identity.serial if sealer else None,
    )
    field = _OPEN + escape(canonical_json(said.model_dump(mode="json"))) + _CLOSE
    xmp = mark.replace(_END, field + _END)
    plain = _with_xmp(encoded, form, xmp, infotext.write(record) if said.record else None)
    if sealer is None:
        return plain
    shows = disclosure is not Disclosure.MARKS
    return sealer.seal(
        plain,
        form.media_type,
        manifest.of_picture(Statement.of(record), __version__, {}, shows=shows),
    )


def _whole(data: bytes) -> tuple[RunRecord, Image.Image]:
    """What is published carries this studio's word, so it is checked first."""
    answer = examine(data)
    if answer.record is None or not answer.ok:
        raise GalleryError(
            f"The picture is not as it was made. {answer.findings[0].text}",
            "Take a copy that was not changed.",
        )
    return answer.record, record_png.decode(data)


def _inner(xmp: str) -> str:
    """Without the wrapper that only padding needs."""
    start, end = xmp.index("<x:xmpmeta"), xmp.index("</x:xmpmeta>")
    return xmp[start : end + len("</x:xmpmeta>")]


def _encoded(image: Image.Image, form: PictureFormat) -> bytes:
    how: dict[PictureFormat, dict[str, Any]] = {
        PictureFormat.PNG: {},
        PictureFormat.JPEG: {"quality": QUALITY, "subsampling": 0},
        PictureFormat.WEBP: {"lossless": True, "exact": True},
    }
    plain, buffer = Image.frombytes("RGB", image.size, image.tobytes()), io.BytesIO()
    plain.save(buffer, form.name, **how[form])
    return buffer.getvalue()


def _with_xmp(data: bytes, form: PictureFormat, xmp: str, parameters: str | None) -> bytes:
    """The same picture with its texts; no pixel is encoded anew."""
    text = xmp.encode("utf-8")
    if form is PictureFormat.PNG:
        return png.with_texts(data, {marks.XMP_KEY: xmp})
    exif = b"" if parameters is None else _exif(parameters)
    if form is PictureFormat.WEBP:
        return containers.webp_with_texts(data, text, exif)
    if len(text) > MAX_JPEG_XMP or len(exif) > MAX_JPEG_XMP:
        raise GalleryError(
            f"The record has {len(text):,} bytes, and a JPEG has room for {MAX_JPEG_XMP:,}.",
            "Publish it as WebP or PNG, or tell less.",
        )
    return containers.jpeg_with_texts(data, text, exif)


def _exif(parameters: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
    return exif.tobytes().removeprefix(b"Exif\0\0")


def _image_sha256(data: bytes, form: PictureFormat) -> str:
    """Of the pixels; of a JPEG, of the file without its segments APPn and COM.

    Raises:
        UnusableReference: it does not decode.
    """
    if form is PictureFormat.JPEG:
        kept = (
            whole
            for kind, whole in containers.jpeg_segments(data)
            if not (0xE0 <= kind <= 0xEF or kind == 0xFE)
        )
        return hashlib.sha256(b"".join(kept)).hexdigest()
    return png.pixels_sha256(decoding.upright_rgb(data))


def publication_text(data: bytes) -> str | None:
    """The JSON of a file's ``Publication``; None where it has none."""
    field = _FIELD.search(packet_of(data))
    return None if field is None else html.unescape(field[1])


def verify_published(path: Path, trust: str = "") -> Verification | None:
    """``examine_published`` of the file at ``path``; None where it is no published one."""
    try:
        data = atomic.read_file(path, png.MAX_FILE + 1)
    except OSError:
        return None  # who verifies it otherwise says why
    return None if publication_text(data) is None else examine_published(data, trust)


def examine_published(data: bytes, trust: str = "") -> Verification:
    """As ``verification.examine``, for a published file; nothing is raised. Beside codes of that,
    ``publication``: what it says of itself was edited."""
    xmp = packet_of(data)
    field = _FIELD.search(xmp)
    try:
        if field is None:
            raise RecordError("The file has no publication.", "Take it as it was published.")
        text = html.unescape(field[1])
        said = parse_written(Publication, text, "The publication", "Take another copy.")
        record = None if said.record is None else record_png.parse_record(said.record)
    except NewerRecord as error:
        return Verification((broken(error.code, "a release of today", error),), None)
    except RecordError as error:
        return Verification((broken("publication", "as published", error),), None)
    made = Statement.of(record) if record else said.statement
    findings = [*_stated(said, text, record)]
    findings += _pictured(data, said, xmp.replace(field[0], ""), made)
    stores = manifests_of(data)
    signature = reading.read(data, said.format.media_type, stores, trust) if stores else None
    for problem in problems(said.signer, signature, PICTURE_LABEL, made):
        findings.append(Finding("signature", problem, f"signed by {said.signer}", problem))
    return Verification(
        tuple(findings), record, signature=signature, told=said.words, statement=said.statement
    )


def _stated(said: Publication, text: str, record: RunRecord | None) -> Iterator[Finding]:
    edited = text != canonical_json(said.model_dump(mode="json"))
    if record is not None:
        edited |= record_text(record) != said.record
        edited |= record.plan_fingerprint != record.plan.fingerprint
        edited |= bool(discrepancies(record.plan, record.receipt))
    if edited:
        words = "What the file says of itself was edited."
        yield Finding("publication", words, "as published", "other text")


def record_text(record: RunRecord) -> str:
    return canonical_json(record.model_dump(mode="json"))


def _pictured(
    data: bytes, said: Publication, mark: str, made: Statement | None
) -> Iterator[Finding]:
    if (found := record_png.sha256_of_text(mark)) != said.mark_sha256:
        words = "The mark is not the one that was published."
        yield Finding("mark", words, said.mark_sha256, found)
    try:
        found = _image_sha256(data, said.format)
    except UnusableReference as error:
        yield Finding("structure", f"{error.message}", "a picture that decodes", error.reason)
        return
    wanted = {said.image_sha256}
    if made is not None and said.format is not PictureFormat.JPEG:
        wanted.add(made.pixels_sha256)
    if wanted != {found}:
        words = "The picture is not the one that was published."
        yield Finding("pixels", words, said.image_sha256, found)
