"""A picture is accepted as the studio wrote it, and in no other state."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from studio.architecture import Mode
from studio.contract.base import canonical_json
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError, RecordError
from studio.gallery import infotext, marks, record_png
from studio.gallery.verification import examine, verify
from studio.imaging import png
from tests.support.records import flat, noise, records, run_record

RECORD = run_record()
DATA = record_png.encode(flat(), RECORD)
TEXTS = png.texts(png.chunks(DATA))


def codes(data: bytes) -> list[str]:
    return [finding.code for finding in examine(data).findings]


def with_record(change: Callable[[dict[str, object]], object], rehash: bool = True) -> bytes:
    """DATA with an edited record, and the hashes computed anew if ``rehash``."""
    raw = json.loads(TEXTS[record_png.RECORD_KEY])
    change(raw)
    text = canonical_json(raw)
    texts = {**TEXTS, record_png.RECORD_KEY: text}
    if rehash:
        texts[record_png.HASH_KEY] = record_png.sha256_of_text(text)
    return png.with_texts(DATA, texts)


def at(path: str, value: object) -> Callable[[dict[str, object]], object]:
    def change(raw: dict[str, object]) -> None:
        *parents, last = path.split(".")
        place: dict[str, object] = raw
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]  # type: ignore
        place[last] = value

    return change


def test_a_picture_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(DATA)
    found = verify(path)
    assert found.ok
    assert found.record == RECORD
    assert record_png.read_record(path) == RECORD


@given(records())
@settings(max_examples=40)
def test_any_picture_is_accepted(record: RunRecord) -> None:
    found = examine(record_png.encode(flat(), record))
    assert (found.findings, found.record) == ((), record)


def test_every_flipped_byte_is_refused() -> None:
    chance = random.Random(1)
    data = bytearray(DATA)
    for position in range(len(data)):
        flip = chance.randrange(1, 256)
        data[position] ^= flip
        assert not examine(bytes(data)).ok, position
        data[position] ^= flip
    assert examine(bytes(data)).ok


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255), records())
@settings(max_examples=40)
def test_a_flipped_byte_of_any_picture_is_refused(
    position: int, flip: int, record: RunRecord
) -> None:
    data = bytearray(record_png.encode(flat(), record))
    data[position % len(data)] ^= flip
    assert not examine(bytes(data)).ok


def test_every_shorter_file_is_refused() -> None:
    assert all(not examine(DATA[:length]).ok for length in range(len(DATA)))


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"IEND", DATA])
def test_a_longer_file_is_refused(tail: bytes) -> None:
    assert codes(DATA + tail) == ["structure"]


def test_a_record_of_another_picture_is_refused() -> None:
    other = record_png.encode(noise(), run_record(noise()))
    swapped = png.with_texts(DATA, png.texts(png.chunks(other)))
    assert codes(swapped) == ["pixels"]


def test_a_record_of_another_size_is_refused() -> None:
    other = record_png.encode(flat(64, 32), run_record(flat(64, 32)))
    assert codes(png.with_texts(DATA, png.texts(png.chunks(other)))) == ["size", "pixels"]


def test_pixels_saved_again_are_refused() -> None:
    """As an image editor does: the texts survive, one pixel has changed."""
    image = record_png.decode(DATA)
    image.putpixel((0, 0), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    assert codes(png.with_texts(buffer.getvalue(), TEXTS)) == ["pixels"]


def test_other_kinds_of_pixels_are_refused() -> None:
    buffer = io.BytesIO()
    record_png.decode(DATA).convert("RGBA").save(buffer, format="PNG")
    assert codes(png.with_texts(buffer.getvalue(), TEXTS)) == ["structure"]


def test_pixels_that_do_not_decode_are_refused() -> None:
    chunks = png.chunks(DATA)
    short = [png.serialize(c.kind, c.data[:-9] if c.kind == "IDAT" else c.data) for c in chunks]
    found = examine(png.SIGNATURE + b"".join(short))
    assert [finding.code for finding in found.findings] == ["structure"]
    assert "do not decode" in found.findings[0].text


def test_an_edited_receipt_is_noticed() -> None:
    data = with_record(at("receipt.device", "cuda"), rehash=False)
    assert codes(data) == ["record_hash"]


def test_hashes_are_integrity_and_not_authenticity() -> None:
    """Documented: who edits a field that nothing else speaks of and rehashes is believed."""
    assert codes(with_record(at("receipt.device", "cuda"))) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("plan.seed", 43, {"fingerprint", "receipt"}),
        ("plan.base.label", "Other", {"fingerprint"}),
        ("plan.prompt.typed", "other", {"fingerprint"}),
        ("plan_fingerprint", "0" * 64, {"fingerprint"}),
        ("receipt.steps", 21, {"receipt", "parameters"}),
        ("receipt.guidance_scale", 7.5, {"receipt", "parameters"}),
        ("receipt.base_sha256", "0" * 64, {"receipt", "parameters"}),
        ("receipt.base_proof.now", "0" * 64, {"receipt"}),
        ("receipt.image.seed", 43, {"receipt", "parameters"}),
        ("receipt.image.width", 64, {"receipt", "parameters", "size"}),
        ("receipt.image.pixels_sha256", "0" * 64, {"pixels"}),
        ("receipt.loras", [], {"receipt", "parameters"}),
        ("receipt.effect", None, {"receipt"}),
    ],
)
def test_an_edit_with_new_hashes_is_refused_where_it_shows(
    path: str, value: object, expected: set[str]
) -> None:
    assert set(codes(with_record(at(path, value)))) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (at("schema_version", 0), "schema version is 0"),
        (at("schema_version", "1"), "schema version is '1'"),
        (at("extra", 1), "extra"),
        (at("receipt.steps", "many"), "receipt.steps"),
        (at("plan.mode", "magic"), "plan.mode"),
        (lambda raw: raw.pop("receipt"), "receipt"),
    ],
)
def test_a_record_of_another_schema_is_refused(
    change: Callable[[dict[str, object]], object], words: str
) -> None:
    found = examine(with_record(change))
    assert [finding.code for finding in found.findings] == ["record"]
    assert words in found.findings[0].text
    assert found.record is None


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "1", '"x"', "[" * 100_000, '{"schema_version":1}']
)
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        record_png.parse_record(text)


def test_half_a_character_in_a_record_is_refused() -> None:
    text = TEXTS[record_png.RECORD_KEY].replace("a rocket", "\\ud800 rocket")
    data = png.with_texts(
        DATA,
        {
            **TEXTS,
            record_png.RECORD_KEY: text,
            record_png.HASH_KEY: record_png.sha256_of_text(text),
        },
    )
    assert not examine(data).ok


def test_half_a_character_is_not_written() -> None:
    broken = RECORD.receipt.model_copy(update={"device": "\ud800"})
    with pytest.raises(RecordError, match="half a character"):
        record_png.encode(flat(), RECORD.model_copy(update={"receipt": broken}))


def test_a_record_spelt_otherwise_is_refused() -> None:
    text = json.dumps(json.loads(TEXTS[record_png.RECORD_KEY]), indent=1)
    texts = {record_png.RECORD_KEY: text, record_png.HASH_KEY: record_png.sha256_of_text(text)}
    assert codes(png.with_texts(DATA, {**TEXTS, **texts})) == ["record_form"]


@pytest.mark.parametrize("value", ["", "0" * 64])
def test_another_hash_is_refused(value: str) -> None:
    assert codes(png.with_texts(DATA, {**TEXTS, record_png.HASH_KEY: value})) == ["record_hash"]


def test_another_text_for_other_tools_is_refused() -> None:
    changed = TEXTS[record_png.PARAMETERS_KEY].replace("Steps: 20", "Steps: 50")
    found = examine(png.with_texts(DATA, {**TEXTS, record_png.PARAMETERS_KEY: changed}))
    (finding,) = found.findings
    assert finding.code == "parameters"
    assert finding.expected == infotext.write(RECORD)
    assert finding.found == changed


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_a_missing_text_is_refused(key: str) -> None:
    texts = {name: text for name, text in TEXTS.items() if name != key}
    wanted = "mark" if key == marks.XMP_KEY else "chunks"
    assert wanted in codes(png.with_texts(DATA, texts))


def test_what_others_add_beside_picture_and_record_is_named() -> None:
    comment = png.with_texts(DATA, {**TEXTS, "Comment": "x"})
    manifest = png.serialize("caBX", b"jumb")
    found = examine(comment[:33] + manifest + comment[33:])
    assert (found.ok, found.judged) == (True, "added to")
    assert [part in " ".join(found.additions) for part in ("'Comment'", "caBX")] == [True, True]


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_a_second_text_of_the_studios_own_names_is_refused(key: str) -> None:
    other = png.serialize("tEXt", key.encode() + b"\0other")
    assert codes(DATA[:33] + other + DATA[33:]) == ["chunks"]


def test_pictures_of_before_the_mark_may_get_one() -> None:
    record = RECORD.model_copy(update={"source_type": None})
    data = record_png.encode(flat(), record)
    texts = png.texts(png.chunks(data))
    assert marks.XMP_KEY not in texts
    assert examine(data).judged == "whole"
    found = examine(png.with_texts(data, {**texts, marks.XMP_KEY: "<x/>"}))
    assert (found.judged, found.additions) == ("added to", (f"a text {marks.XMP_KEY!r}",))


def test_the_answer_in_two_words() -> None:
    def judged(**changed: str) -> str:
        return examine(png.with_texts(DATA, TEXTS | changed)).judged

    assert judged() == "whole"
    assert judged(**{marks.XMP_KEY: "<x/>"}) == "mark changed"
    assert judged(**{record_png.PARAMETERS_KEY: "x"}) == "record edited"
    assert examine(DATA[:-5]).judged == "damaged"
    other = io.BytesIO()
    noise().save(other, format="PNG")
    assert examine(png.with_texts(other.getvalue(), TEXTS)).judged == "pixels changed"


@pytest.mark.parametrize("mode", [Mode.BASE, Mode.REFERENCE_EDIT])
def test_the_mark_is_what_other_tools_read(mode: Mode) -> None:
    source = RunRecord.of(RECORD.plan.model_copy(update={"mode": mode}), RECORD.receipt)
    text = marks.of_record(source)[marks.XMP_KEY]
    assert source.source_type is not None
    assert f"digitalsourcetype/{source.source_type.value}<" in text
    assert len(text) < 1024
    ElementTree.fromstring(text.partition("?>")[2].rpartition("<?")[0])


def test_the_label_of_gb_45438_is_in_the_mark_and_verified() -> None:
    record = RECORD.model_copy(update={"producer": "A & Co"})
    data = record_png.encode(flat(), record)
    assert examine(data).judged == "whole"
    text = png.texts(png.chunks(data))[marks.XMP_KEY]
    tree = ElementTree.fromstring(text.partition("?>")[2].rpartition("<?")[0])
    (label,) = tree.iter("{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC")
    said = json.loads(str(label.text))
    assert (said["Label"], said["ContentProducer"], said["ProduceID"]) == (
        "1",
        "A & Co",
        "run-1-0",
    )
    assert len(text) < 1024


def test_a_chunk_that_changes_how_it_looks_is_refused() -> None:
    gamma = png.serialize("gAMA", (1).to_bytes(4, "big"))
    assert codes(DATA[:33] + gamma + DATA[33:]) == ["chunks"]


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "jpeg", "bare"])
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.png"
    jpeg, bare = io.BytesIO(), io.BytesIO()
    flat().save(jpeg, format="JPEG")
    flat().save(bare, format="PNG")
    contents = {
        "text": b"<html></html>",
        "empty": b"",
        "jpeg": jpeg.getvalue(),
        "bare": bare.getvalue(),
    }
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(contents[kind])
    found = verify(path)
    assert not found.ok
    assert all(finding.text.endswith(".") for finding in found.findings)
    with pytest.raises(GalleryError):
        record_png.read_record(path)


def test_the_image_of_another_record_is_not_written() -> None:
    with pytest.raises(GalleryError, match="not the one of its record"):
        record_png.encode(noise(), RECORD)
    with pytest.raises(GalleryError, match="not the one of its record"):
        record_png.encode(flat(32, 64), RECORD)


def test_nothing_of_the_image_but_pixels_is_written() -> None:
    image = flat()
    image.info.update({"icc_profile": b"x", "dpi": (72, 72), "transparency": (9, 80, 200)})
    assert record_png.encode(image, RECORD) == DATA


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    header = png.serialize("IHDR", (100_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
    data = png.SIGNATURE + header + DATA[33:]
    assert codes(data) == ["structure"]


def test_other_programs_read_the_text() -> None:
    with Image.open(io.BytesIO(DATA)) as image:
        assert isinstance(image, PngImageFile)
        assert image.text["parameters"] == infotext.write(RECORD)
