"""The texts that tools write into pictures: PNG, JPEG and WebP → keyword → text.

PNG has text chunks. JPEG and WebP have EXIF, where A1111 and its kin use UserComment, and
ComfyUI the tags Make and Model, as ``workflow:…`` and ``prompt:…``. No pixels are decoded.
"""

import io
import zlib
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from studio.errors import GalleryError, RecallError, RecordError
from studio.imaging import png

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_TEXT_TAGS = (0x010E, 0x010F, 0x0110)  # ImageDescription, Make, Model
_LABELLED = ("prompt", "workflow")
MAX_TEXTS = 64


def embedded_texts(data: bytes) -> dict[str, str]:
    """The texts of the picture ``data``; of two with one keyword, the first.

    Raises:
        RecallError: it is no intact PNG, JPEG or WebP, or a text is over ``png.MAX_TEXT``.
    """
    pairs = _of_png(data) if data.startswith(png.SIGNATURE) else _of_exif(data)
    texts: dict[str, str] = {}
    for keyword, value in pairs:
        if len(texts) < MAX_TEXTS:
            texts.setdefault(keyword, value)
    return texts


def _of_png(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        for chunk in png.scan(io.BytesIO(data)):
            if chunk.kind == "iTXt":
                yield from png.texts([chunk]).items()
            elif chunk.kind in ("tEXt", "zTXt"):
                yield _latin(chunk)
    except (GalleryError, RecordError) as error:
        raise RecallError(error.message, error.way_out) from error


def _latin(chunk: png.Chunk) -> tuple[str, str]:
    """keyword NUL text, in zTXt keyword NUL method(0) compressed text.

    The specification says Latin-1; Pillow and others write UTF-8 here when they have to.
    """
    keyword, _, body = chunk.data.partition(b"\0")
    if chunk.kind == "zTXt":
        body = png.inflate(chunk, 1, body[0] if body else 1, body[1:])
    try:
        return keyword.decode("latin-1"), body.decode("utf-8")
    except UnicodeDecodeError:
        return keyword.decode("latin-1"), body.decode("latin-1")


def _of_exif(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "WEBP"))
        exif = image.getexif()
        comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        values = [exif.get(tag) for tag in _TEXT_TAGS]
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, zlib.error) as error:
        known = not isinstance(error, UnidentifiedImageError)
        reason = f"its EXIF data cannot be read ({error})" if known else "it is none of the three"
        raise RecallError(
            f"This is not a PNG, JPEG or WebP picture with readable texts: {reason}.",
            "Take the file as the tool saved it.",
        ) from error
    for value in values:
        label, colon, rest = str(value or "").partition(":")
        if colon and label.lower() in _LABELLED:
            yield label.lower(), rest
    said = _comment(comment)
    if said:
        yield "parameters", said


def _comment(value: object) -> str:
    """EXIF 2.3: eight bytes that name the encoding, then the text."""
    if isinstance(value, str):
        return value.strip("\0 ")
    if not isinstance(value, bytes):
        return ""
    code, body = value[:8].rstrip(b"\0 "), value[8:]
    if code == b"UNICODE":
        return _utf16(body).strip("\0 ")
    return (body if code in (b"ASCII", b"") else value).decode("utf-8", "replace").strip("\0 ")


def _utf16(body: bytes) -> str:
    """Nothing says the byte order: that of the JSON or English text shows in its zero bytes."""
    big = body[0::2].count(0) >= body[1::2].count(0)
    return body.decode("utf-16-be" if big else "utf-16-le", "replace")
