"""The marks that a reference image carries: what says that a model made it, and with what.

They are read from the file's own bytes (PNG, JPEG or WebP) before the picture is written anew, so
that what is made from it can name them. Nothing else of the file is kept: no place, camera or
name.
"""

import hashlib
import html
import io
import re
from collections.abc import Iterator

from studio.contract.marks import InheritedMark
from studio.errors import GalleryError, RecordError
from studio.imaging import png
from studio.imaging.containers import jpeg_segments, riff_chunks

_MAX_XMP = 2**20
_LONGEST = 1000
"""Characters of a tool's name, or of a label, that are kept."""
_MOST = 8
"""Source types that are kept."""
_PACKET = re.compile(rb"<x:xmpmeta.{0,%d}?</x:xmpmeta>" % _MAX_XMP, re.DOTALL)
_SOURCE = re.compile(
    r"DigitalSourceType\s*(?:>|=\s*[\"']|\s[^<>]*?resource\s*=\s*[\"'])\s*"
    r"(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/)?([A-Za-z]{1,64})"
)
_TOOL = re.compile(r"xmp:CreatorTool\s*(?:>|=\s*[\"'])\s*([^<\"']+)")
_AIGC = re.compile(r"TC260:AIGC\s*(?:>([^<]+)<|=\s*\"([^\"]+)\"|=\s*'([^']+)')")


def mark_of(data: bytes, sha256: str) -> InheritedMark | None:
    """What the file ``data`` says of its making; None where it says nothing.

    A file that is cut off, or is none of the three, says what stands before that.

    Args:
        sha256: of the reference's pixels.
    """
    texts, manifests = [], hashlib.sha256()
    has_manifest = False
    for kind, body in _parts(data):
        if kind == "manifest":
            manifests.update(body)
            has_manifest = True
        elif len(body) <= _MAX_XMP:
            texts.append((kind, body.decode("utf-8", "replace")))
    packets = "\n".join(text for kind, text in texts if kind == "xmp")
    label = next((text for kind, text in texts if kind == "aigc"), None) or _first(_AIGC, packets)
    found = InheritedMark(
        reference=sha256,
        source_types=tuple(dict.fromkeys(_SOURCE.findall(packets)))[:_MOST],
        tool=_first(_TOOL, packets),
        aigc=label[:_LONGEST] if label else None,
        manifest_sha256=manifests.hexdigest() if has_manifest else None,
    )
    return None if found == InheritedMark(reference=sha256) else found


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    value = next(filter(None, found.groups()), None) if found else None
    return html.unescape(value).strip()[:_LONGEST] if value else None


def _parts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(``xmp``, packet), (``manifest``, C2PA's bytes) and (``aigc``, label) of the file."""
    if data.startswith(png.SIGNATURE):
        yield from _of_png(data)
        return
    yield from (("xmp", packet) for packet in _PACKET.findall(data))
    if data.startswith(b"\xff\xd8"):
        yield from (("manifest", body) for body in _of_jpeg(data))
    else:
        yield from (("manifest", body) for kind, body in riff_chunks(data) if kind == b"C2PA")


def _of_png(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        for chunk in png.scan(io.BytesIO(data)):
            if chunk.kind == "caBX":
                yield "manifest", chunk.data
            elif chunk.kind == "iTXt":
                text = png.texts([chunk]).get(png.XMP_KEY)
                if text is not None:
                    yield "xmp", text.encode("utf-8")
            elif chunk.kind == "tEXt" and chunk.data.startswith(b"AIGC\0"):
                yield "aigc", chunk.data.partition(b"\0")[2]
    except (GalleryError, RecordError):
        return  # what decodes the picture says what is wrong with the file


def _of_jpeg(data: bytes) -> Iterator[bytes]:
    """The JUMBF boxes in APP11 (ISO/IEC 19566-5, annex D) up to the pixels, where C2PA lies: after
    eight bytes of numbers, and in all parts but the first the box's length and type again."""
    head = 8
    for kind, whole in jpeg_segments(data):
        body = whole[4:]
        if kind == 0xEB and body.startswith(b"JP"):
            yield body[head:]
            head = 16


def packet_of(data: bytes) -> str:
    """The file's XMP from ``<x:xmpmeta`` to its end; empty where it has none."""
    packets = [body for kind, body in _parts(data) if kind == "xmp"]
    found = _PACKET.search(packets[0]) if packets else None
    return found[0].decode("utf-8", "replace") if found else ""


def manifests_of(data: bytes) -> bytes:
    """The bytes of the file's C2PA manifests, as they lie in it; empty where it has none."""
    return b"".join(body for kind, body in _parts(data) if kind == "manifest")
