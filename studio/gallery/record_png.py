"""The studio's picture: a PNG that carries the record of how it was made.

Three iTXt chunks stand before the pixels, after the mark of ``marks`` if the plan wants it:

    lora-studio          the RunRecord, canonical JSON
    lora-studio-sha256   SHA-256 of that text's bytes, 64 hexadecimal digits
    parameters           the text that other tools read (see infotext)

The record holds the SHA-256 of the pixels, and the hash covers the record, so a change of
either shows. That is integrity, not authenticity: there is no key, and somebody who edits
the record and computes the hash anew has made another valid picture.
"""

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from studio import __version__
from studio.contract.base import canonical_json, parse_written
from studio.contract.receipt import RunRecord
from studio.contract.statement import Statement
from studio.errors import GalleryError, RecordError, SigningError
from studio.gallery import infotext, marks
from studio.imaging import png
from studio.signing import manifest
from studio.signing.sealing import Sealer

RECORD_KEY = "lora-studio"
HASH_KEY = "lora-studio-sha256"
PARAMETERS_KEY = "parameters"


def sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def encode(image: Image.Image, record: RunRecord) -> bytes:
    """The PNG file of ``image`` with ``record`` inside.

    Raises:
        GalleryError: when the image is not the one the record speaks of.
        RecordError: when the record holds text that no file can hold.
    """
    _check_same(image, record)
    plain = Image.frombytes("RGB", image.size, image.tobytes())  # nothing of image.info
    buffer = io.BytesIO()
    plain.save(buffer, format="PNG")
    try:
        text = canonical_json(record.model_dump(mode="json"))
        texts = {
            **marks.of_record(record),
            RECORD_KEY: text,
            HASH_KEY: sha256_of_text(text),
            PARAMETERS_KEY: infotext.write(record),
        }
        return png.with_texts(buffer.getvalue(), texts)
    except UnicodeEncodeError as error:
        raise RecordError(
            "The record holds half a character (a lone surrogate), which no file can hold.",
            "Type the prompt again instead of pasting it.",
        ) from error


def keywords(record: RunRecord) -> tuple[str, ...]:
    """Of the file's texts, in their order."""
    return (*marks.of_record(record), RECORD_KEY, HASH_KEY, PARAMETERS_KEY)


def sealed(
    data: bytes, record: RunRecord, sealer: Sealer | None, references: Mapping[str, bytes]
) -> bytes:
    """``data``, signed where the record says so.

    Raises:
        SigningError: it cannot be signed, or not by the signer of the record.
    """
    if record.signer is None:
        return data
    statement = Statement.of(record)
    return demand_sealer(sealer, record.signer).seal(
        data, "image/png", manifest.of_picture(statement, __version__, references)
    )


def demand_sealer(sealer: Sealer | None, signer: str) -> Sealer:
    """
    Raises:
        SigningError: there is none, or another one.
    """
    if sealer is None or sealer.identity.serial != signer:
        raise SigningError(
            f"The record names the certificate {signer}, which is not the one that signs here.",
            "Set SIGN to it, or make the picture again.",
        )
    return sealer


def _check_same(image: Image.Image, record: RunRecord) -> None:
    said = record.receipt.image
    found = png.pixels_sha256(image)
    if (said.width, said.height, said.pixels_sha256) != (*image.size, found):
        raise GalleryError(
            f"The image ({image.width} x {image.height}, pixels {found[:12]}…) is not the one of "
            f"its record ({said.width} x {said.height}, pixels {said.pixels_sha256[:12]}…).",
            "Nothing was saved; this is a fault of the studio, please report it.",
        )


def decode(data: bytes) -> Image.Image:
    """The pixels of a whole PNG file, size-capped before anything is decompressed.

    Raises:
        GalleryError: when the file is not intact, too large, or does not decode to RGB.
    """
    head = png.header(png.chunks(data))
    if not head.is_plain_rgb:
        raise png.broken(8, "its pixels are not plain 8-bit RGB, as the studio writes them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=("PNG",))
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise png.broken(8, f"its pixels do not decode ({error})") from error
    return image


def parse_record(text: str) -> RunRecord:
    """The record that ``text`` spells.

    Raises:
        NewerRecord, RecordError: as ``parse_written``.
    """
    way_out = "Take the picture from a copy of the file that was not changed."
    return parse_written(RunRecord, text, "The record in this picture", way_out)


def record_of(texts: dict[str, str]) -> RunRecord:
    """The record among a picture's texts.

    Raises:
        RecordError: when there is none, or none that parses.
    """
    if RECORD_KEY not in texts:
        raise RecordError(
            f"This PNG file has no text {RECORD_KEY!r}: the studio did not make it, or another "
            "program saved it again without its record.",
            "Take the file as the studio wrote it.",
        )
    return parse_record(texts[RECORD_KEY])


def read_record(path: Path) -> RunRecord:
    """The record of the picture at ``path``, without reading its pixels.

    It is as good as the file; ``verification.verify`` says whether it still holds.

    Raises:
        GalleryError: when the file cannot be read or is no PNG.
        RecordError: when it has no record, or none that parses.
    """
    try:
        with path.open("rb") as stream:
            return record_of(png.texts(png.before_pixels(stream)))
    except OSError as error:
        raise GalleryError(
            f"{path.name} cannot be read: {error.strerror or error}.",
            "Check that the file is still there and may be read.",
        ) from error
