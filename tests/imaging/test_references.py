"""Reference images: known by what is seen, kept without what their files also say."""

import hashlib
import io
import json
import os
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from studio.contract.marks import SourceType
from studio.contract.request import ReferenceImage
from studio.errors import UnusableReference
from studio.gallery import marks
from studio.imaging import decoding
from studio.imaging.decoding import MAX_PIXELS
from studio.imaging.png import serialize, with_texts
from studio.imaging.references import UNUSED_FOR, References, load, reference_sha256
from tests.support.records import noise

ORIENTATION = 0x0112
ROTATED = 6
"""EXIF: to be turned a quarter to the right to stand upright."""


@pytest.fixture
def references(tmp_path: Path) -> References:
    return References(tmp_path / "waiting", lambda sha256: tmp_path / "kept" / f"{sha256}.png")


def data_of(image: Image.Image, form: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **how)
    return buffer.getvalue()


def pixels(references: References, sha256: str) -> Image.Image:
    place = references.locate(sha256)
    assert place is not None
    return Image.open(place)


def test_equal_pixels_are_one_reference(references: References, tmp_path: Path) -> None:
    image = noise(96, 80)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a secret prompt")
    first = references.add(data_of(image))
    second = references.add(data_of(image, pnginfo=texts, compress_level=1))
    third = references.add(data_of(image, "WEBP", lossless=True))
    assert first == second == third
    assert (first.width, first.height, first.media_type) == (96, 80, "image/png")
    assert len(list((tmp_path / "waiting").iterdir())) == 1


def test_what_the_file_says_beside_its_pixels_is_gone(references: References) -> None:
    image = noise(64, 64)
    exif = Image.Exif()
    exif[0x010F] = "A Camera Maker"
    exif[0x0132] = "2026:11:22 10:11:12"
    made = references.add(data_of(image, "JPEG", exif=exif, comment=b"at home", quality=95))
    kept = pixels(references, made.sha256)
    assert dict(kept.getexif()) == {}
    assert kept.info == {}
    place = references.locate(made.sha256)
    assert place is not None
    raw = place.read_bytes()
    assert b"Camera" not in raw
    assert b"at home" not in raw


def test_a_picture_is_turned_upright(references: References) -> None:
    image = Image.new("RGB", (96, 64), "red")
    image.paste("blue", (0, 0, 48, 64))
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED
    made = references.add(data_of(image, exif=exif))
    assert (made.width, made.height) == (64, 96)
    assert made == references.add(data_of(image.transpose(Image.Transpose.ROTATE_270)))


def test_transparent_parts_are_laid_on_white(references: References) -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 32, 64))
    seen = pixels(references, references.add(data_of(clear)).sha256)
    assert seen.mode == "RGB"
    assert (seen.getpixel((0, 0)), seen.getpixel((63, 0))) == ((0, 0, 255), (255, 255, 255))


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(references: References, mode: str) -> None:
    image = noise(64, 64).convert(mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    made = references.add(data_of(image, form))
    assert pixels(references, made.sha256).mode == "RGB"


def test_colours_follow_the_pictures_own_profile(references: References) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(UnusableReference, match="colour profile"):
        references.add(data_of(noise(64, 64), icc_profile=lab))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    flat = Image.new("RGB", (64, 64), (10, 120, 230))
    assert references.add(data_of(flat, icc_profile=srgb)) == references.add(data_of(flat))


def animation() -> bytes:
    frames = [noise(64, 64, seed) for seed in (1, 2)]
    return data_of(frames[0], "WEBP", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PNG, JPEG or WebP"),
        (b"<html>not a picture</html>", "not a PNG, JPEG or WebP"),
        (data_of(noise(64, 64), "GIF"), "not a PNG, JPEG or WebP"),
        (data_of(noise(64, 64))[:-600], "cut off"),
        (data_of(Image.new("1", (9000, 8))), "9000 x 8 pixels"),
        (animation(), "animation"),
        (data_of(Image.new("I;16", (64, 64))), "kind 'I;16'"),
    ],
    ids=["empty", "html", "gif", "cut", "wide", "animation", "16 bit"],
)
def test_what_cannot_be_used_is_named(
    references: References, tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(UnusableReference, match=reason):
        references.add(data)
    assert not (tmp_path / "waiting").exists()


def test_a_changed_or_lost_reference_is_noticed(references: References) -> None:
    made = references.add(data_of(noise(64, 64)))
    place = references.locate(made.sha256)
    assert place is not None
    assert reference_sha256(load(place, made)) == made.sha256
    noise(64, 64, seed=9).save(place)
    with pytest.raises(UnusableReference, match="not those the plan names"):
        load(place, made)
    place.unlink()
    assert references.locate(made.sha256) is None
    with pytest.raises(UnusableReference, match="cannot be read"):
        load(place, made)


def test_the_same_bytes_in_another_shape_are_another_picture() -> None:
    flat = Image.new("RGB", (64, 96), "red")
    assert reference_sha256(flat) != reference_sha256(Image.new("RGB", (96, 64), "red"))


def test_only_what_was_never_used_is_forgotten(references: References) -> None:
    old, new = (references.add(data_of(noise(64, 64, seed))) for seed in (1, 2))
    place = references.locate(old.sha256)
    assert place is not None
    long_ago = time.time() - UNUSED_FOR - 60
    os.utime(place, (long_ago, long_ago))
    references.discard_unused()
    assert references.locate(old.sha256) is None
    assert references.locate(new.sha256) is not None


def test_beyond_the_quota_the_longest_unused_go_first(
    references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.imaging.references.JUST_GIVEN", 60.0)
    asked, held, idle = (references.add(data_of(noise(64, 64, n))).sha256 for n in (1, 2, 3))
    sizes = []
    for age, sha256 in ((0, asked), (80, held), (90, idle)):
        place = references.locate(sha256)
        assert place is not None
        os.utime(place, (time.time() - age, time.time() - age))
        sizes.append(place.stat().st_size)
    monkeypatch.setattr("studio.imaging.references.QUOTA", 3 * max(sizes) + 100)
    with references.held([held]):
        new = references.add(data_of(noise(64, 64, 4))).sha256
        monkeypatch.setattr("studio.imaging.references.QUOTA", 1)
        with pytest.raises(UnusableReference, match="just handed in"):
            references.add(data_of(noise(64, 64, 5)))
    kept = [sha256 for sha256 in (held, idle, asked, new) if references.locate(sha256)]
    assert kept == [held, asked, new]
    references.discard_unused()
    assert references.locate(held) is None


def test_a_picture_is_decoded_where_memory_has_an_end(
    references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = data_of(Image.new("RGBA", (4096, 4096)))
    assert len(flat) < 100_000
    monkeypatch.setattr(decoding, "LIMITS", (400 * 2**20, 30))
    with pytest.raises(UnusableReference, match="bounded memory"):
        references.add(flat)
    monkeypatch.undo()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert references.add(flat).width == 4096
    # The pixels and their file; decoding takes four times as much.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_what_kills_its_decoder_is_refused(
    references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UnusableReference, match="cannot be decoded"):
        references.add(data_of(noise(64, 64, 1)))


def png(width: int, height: int, colour: int, pixels: bytes, interlaced: int = 0) -> bytes:
    """A PNG file of 8 bits a channel whose compressed pixels are ``pixels``, whole or not."""
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("rows", [1, 32, 63])
def test_a_picture_that_lacks_rows_is_refused(
    references: References, rows: int, interlaced: int
) -> None:
    with pytest.raises(UnusableReference, match="cut off"):
        references.add(png(64, 64, 2, b"\0" + bytes(rows * 193 - 1), interlaced))
    assert list(references._waiting.glob("*")) == []


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_whole_picture_is_taken(
    references: References, colour: int, channels: int, interlaced: int
) -> None:
    passes = [(8, 8), (8, 8), (16, 8), (16, 16), (32, 16), (32, 32), (64, 32)]
    sizes = passes if interlaced else [(64, 64)]
    pixels = b"".join(bytes(1 + columns * channels) * rows for columns, rows in sizes)
    taken = references.add(png(64, 64, colour, pixels, interlaced))
    assert (taken.width, taken.height) == (64, 64)


def test_more_pixels_than_a_pipeline_can_use_are_not_decoded(references: References) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(UnusableReference, match=f"{side} x {side}"):
        references.add(png(side, side, 6, b""))


def test_a_larger_one_that_an_earlier_release_kept_is_still_itself(tmp_path: Path) -> None:
    image = Image.new("RGB", (4200, 4200), "navy")
    assert image.width * image.height > MAX_PIXELS
    path = tmp_path / "kept.png"
    image.save(path)
    wanted = ReferenceImage(sha256=reference_sha256(image), width=4200, height=4200)
    assert load(path, wanted).size == (4200, 4200)


XMP = marks.xmp(SourceType.EDITED, "9.9", "Ren & Co", "7")
FOREIGN = XMP.replace(
    "<Iptc4xmpExt:DigitalSourceType>", '<Iptc4xmpExt:DigitalSourceType rdf:resource="'
).replace("</Iptc4xmpExt:DigitalSourceType>", '"/>')


@pytest.mark.parametrize("text", [XMP, FOREIGN], ids=["element", "resource"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_marks_of_its_file_are_kept_and_nothing_else(
    references: References, form: str, text: str
) -> None:
    camera = Image.Exif()
    camera[0x010F] = "A Camera Maker"
    if form == "PNG":
        data = with_texts(data_of(noise(64, 64), exif=camera), {marks.XMP_KEY: text})
    else:
        data = data_of(noise(64, 64), form, exif=camera, xmp=text.encode("utf-8"))
    found = references.add(data)
    mark = references.mark(found.sha256)
    assert mark is not None
    assert (mark.source_types, mark.tool) == (
        ("compositeWithTrainedAlgorithmicMedia",),
        "LoRA Studio 9.9",
    )
    assert json.loads(str(mark.aigc))["ContentProducer"] == "Ren & Co"
    assert "DigitalSourceType" in mark.words
    place = references.locate(found.sha256)
    assert place is not None
    assert b"Camera" not in place.read_bytes()
    assert load(place, found).size == (64, 64)


def test_a_mark_that_comes_later_is_kept_too(references: References) -> None:
    plain = data_of(noise(64, 64))
    sha256 = references.add(plain).sha256
    assert references.mark(sha256) is None
    manifest = plain[:33] + serialize("caBX", b"a manifest") + plain[33:]
    assert references.add(manifest).sha256 == sha256
    mark = references.mark(sha256)
    assert mark is not None
    assert mark.manifest_sha256 == hashlib.sha256(b"a manifest").hexdigest()
    references.add(plain)
    assert references.mark(sha256) == mark
