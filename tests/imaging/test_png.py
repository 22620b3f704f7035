"""PNG chunks: what is intact is read, and everything else is refused, saying where."""

import hashlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from studio.errors import GalleryError, RecordError
from studio.imaging import png
from tests.support.records import noise

IEND = png.serialize("IEND", b"")


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


PLAIN = saved(noise(16, 8))
IHDR = PLAIN[8:33]
IDAT = PLAIN[33:-12]


def built(*parts: bytes) -> bytes:
    return b"".join((png.SIGNATURE, *parts))


def test_an_intact_file_is_read() -> None:
    found = png.chunks(PLAIN)
    assert [chunk.kind for chunk in found] == ["IHDR", "IDAT", "IEND"]
    assert [chunk.offset for chunk in found] == [8, 33, len(PLAIN) - 12]
    assert png.header(found) == png.PngHeader(16, 8, 8, 2, 0, 0, 0)
    assert png.header(found).is_plain_rgb


@pytest.mark.parametrize(
    ("data", "where", "words"),
    [
        (b"", 0, "signature"),
        (b"<html>", 0, "signature"),
        (PLAIN[:-1], len(PLAIN) - 12, "cut off"),
        (PLAIN[:-12], len(PLAIN) - 12, "cut off"),
        (PLAIN + b"\0", len(PLAIN), "follows its end"),
        (PLAIN + PLAIN, len(PLAIN), "follows its end"),
        (built(IDAT, IHDR, IEND), 8, "IHDR is first"),
        (built(IHDR, IHDR, IDAT, IEND), 33, "and once"),
        (built(IHDR, IEND), 33, "before any pixel data"),
        (built(IHDR, IDAT, png.serialize("tIME", b"1234567"), IDAT, IEND), None, "one piece"),
        (built(IHDR, IDAT, png.serialize("IEND", b"x")), None, "not empty"),
        (built(IHDR, png.serialize("ABCD", b""), IDAT, IEND), 37, "is unknown"),
        (built(IHDR, b"\0\0\0\0a1b2\0\0\0\0"), 37, "four letters"),
        (built(IHDR, b"\xff\xff\xff\xffIDAT"), 33, "4294967295 bytes"),
        (built(IHDR, b"\x01\x10\0\0iTXt"), 33, "17825792 bytes"),
        (built(IHDR, IDAT[:-1] + b"\0", IEND), 33, "checksum"),
    ],
)
def test_a_broken_file_is_refused(data: bytes, where: int | None, words: str) -> None:
    with pytest.raises(GalleryError, match=words) as caught:
        png.chunks(data)
    assert where is None or f"(at byte {where})" in caught.value.message
    assert caught.value.way_out


def test_every_flipped_bit_is_refused() -> None:
    data = bytearray(PLAIN)
    for position in range(len(data)):
        for bit in range(8):
            data[position] ^= 1 << bit
            with pytest.raises(GalleryError):
                png.chunks(bytes(data))
            data[position] ^= 1 << bit
    assert png.chunks(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    for data in (tail, png.SIGNATURE + tail, built(IHDR) + tail):
        with pytest.raises(GalleryError):
            png.chunks(data)


def test_too_many_chunks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_CHUNKS", 3)
    assert png.chunks(PLAIN)
    with pytest.raises(GalleryError, match="more than 3 chunks"):
        png.chunks(built(IHDR, IDAT, png.serialize("tIME", b""), IEND))


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_FILE", len(PLAIN) - 1)
    with pytest.raises(GalleryError, match="larger than"):
        png.chunks(PLAIN)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (struct.pack(">IIBBBBB", 0, 8, 8, 2, 0, 0, 0), "0 x 8 pixels"),
        (struct.pack(">IIBBBBB", 2**31, 2**31, 8, 2, 0, 0, 0), "2147483648 x"),
        (b"short", "13 bytes"),
    ],
)
def test_a_header_that_lies_is_refused(fields: bytes, words: str) -> None:
    data = built(png.serialize("IHDR", fields), IDAT, IEND)
    with pytest.raises(GalleryError, match=words):
        png.header(png.chunks(data))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_kinds_of_pixels_are_told_apart(mode: str) -> None:
    assert not png.header(png.chunks(saved(noise().convert(mode)))).is_plain_rgb


def test_pixels_before_which_the_texts_stand_are_not_read() -> None:
    data = png.with_texts(PLAIN, {"a": "b"})
    cut = data[: data.index(b"IDAT") + 4]
    found = png.before_pixels(io.BytesIO(cut))
    assert png.texts(found) == {"a": "b"}
    with pytest.raises(GalleryError):
        png.chunks(cut)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,30}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=3,
    )
)
def test_texts_are_written_as_pillow_and_we_read_them(texts: dict[str, str]) -> None:
    data = png.with_texts(PLAIN, texts)
    assert png.texts(png.chunks(data)) == texts
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, PngImageFile)
        assert {key: str(value) for key, value in image.text.items()} == texts
        assert image.tobytes() == noise(16, 8).tobytes()


def test_only_pixels_and_texts_are_written() -> None:
    before = saved(noise(16, 8), dpi=(72, 72), icc_profile=b"profile")
    assert {"pHYs", "iCCP"} <= {chunk.kind for chunk in png.chunks(before)}
    kinds = [chunk.kind for chunk in png.chunks(png.with_texts(before, {"a": "b"}))]
    assert kinds == ["IHDR", "iTXt", "IDAT", "IEND"]


def test_a_text_is_written_only_if_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_TEXT", 100)
    longest = "x" * (100 - len(b"key\0\0\0\0\0"))
    data = png.with_texts(PLAIN, {"key": longest})
    assert png.texts(png.chunks(data)) == {"key": longest}
    with pytest.raises(GalleryError, match="'key' of the picture would have 101 bytes") as caught:
        png.with_texts(PLAIN, {"key": longest + "x"})
    assert caught.value.way_out.startswith("Shorten the prompt")
    monkeypatch.setattr(png, "MAX_FILE", len(data))
    assert png.chunks(png.with_texts(PLAIN, {"key": longest}))
    monkeypatch.setattr(png, "MAX_FILE", len(data) - 1)
    monkeypatch.setattr(png, "chunks", lambda _: tuple(png.scan(io.BytesIO(PLAIN))))
    with pytest.raises(GalleryError, match="The picture would have"):
        png.with_texts(PLAIN, {"key": longest})


def test_compressed_texts_of_other_programs_are_read() -> None:
    info = PngInfo()
    info.add_itxt("parameters", "Schöne Grüße " * 50, lang="de", zip=True)
    assert png.texts(png.chunks(saved(noise(), pnginfo=info))) == {
        "parameters": "Schöne Grüße " * 50
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "malformed"),
        (b"key", "malformed"),
        (b"key\0\0\0", "malformed"),
        (b"\0\0\0\0\0text", "malformed"),
        (b"k" * 80 + b"\0\0\0\0\0text", "malformed"),
        (b"key\0\0\0\0\0\xff", "UTF-8"),
        (b"key\0\2\0\0\0text", "compression is unknown"),
        (b"key\0\1\1\0\0text", "compression is unknown"),
        (b"key\0\1\0\0\0text", "does not decompress"),
        (b"key\0\1\0\0\0" + zlib.compress(b"text")[:-5], "does not decompress"),
        (b"key\0\1\0\0\0" + zlib.compress(bytes(png.MAX_TEXT + 1)), "longer than"),
    ],
)
def test_a_malformed_text_is_refused(data: bytes, words: str) -> None:
    chunk = png.Chunk("iTXt", data, 33)
    with pytest.raises(RecordError, match=words) as caught:
        png.texts([chunk])
    assert "(at byte 33)" in caught.value.message


def test_a_keyword_twice_is_refused() -> None:
    chunk = png.Chunk("iTXt", b"key\0\0\0\0\0text", 33)
    with pytest.raises(RecordError, match="'key' is there twice"):
        png.texts([chunk, chunk])


def test_the_pixel_hash_is_of_rgb_bytes_row_by_row() -> None:
    image = Image.new("RGB", (2, 2))
    image.putdata([(1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)])
    assert png.pixels_sha256(image) == hashlib.sha256(bytes(range(1, 13))).hexdigest()


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_only_rgb_has_a_pixel_hash(mode: str) -> None:
    with pytest.raises(GalleryError, match="only 'RGB'"):
        png.pixels_sha256(noise().convert(mode))
