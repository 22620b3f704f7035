"""Copies for others: each tells as much as was wanted, and verifies as far as it tells."""

import io

import pytest
from PIL import Image

from studio.gallery import infotext, marks, record_png
from studio.gallery.publishing import (
    Disclosure,
    PictureFormat,
    examine_published,
    publication_text,
    publish,
)
from studio.gallery.verification import examine
from studio.imaging import png
from studio.imaging.embedded_text import embedded_texts
from studio.signing.keys import LOCAL, open_identity
from studio.signing.sealing import Sealer
from tests.support.records import noise, run_record

RECORD = run_record(noise(48, 40), prompt="a secret fox & <b>, phrsink", negative="blurry")
DATA = record_png.encode(noise(48, 40), RECORD)
ALL_FORMS = [
    (tell, form)
    for tell in Disclosure
    for form in PictureFormat
    if (tell, form) != (Disclosure.ALL, PictureFormat.PNG)
]


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> Sealer:
    return Sealer(open_identity(LOCAL, None, tmp_path_factory.mktemp("state")))


@pytest.mark.parametrize("is_signed", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize(("tell", "form"), ALL_FORMS)
def test_it_verifies_as_far_as_it_tells(
    sealer: Sealer, tell: Disclosure, form: PictureFormat, is_signed: bool
) -> None:
    made = publish(DATA, tell, form, sealer if is_signed else None)
    found = examine_published(made)
    assert found.findings == ()
    assert (found.signature is not None) == is_signed
    assert found.signature is None or found.signature.state == "valid"
    assert (b"secret" in made) == (tell is Disclosure.ALL)
    assert found.record == (RECORD if tell is Disclosure.ALL else None)
    facts = found.statement
    assert (facts is not None) == (tell is Disclosure.FACTS)
    if facts is not None:
        assert facts.record_fingerprint == RECORD.fingerprint
        assert (facts.loras[0].applied, facts.loras[0].targeted) == (38, 38)
    with Image.open(io.BytesIO(made)) as image:
        seen = image.convert("RGB")
        assert b"trainedAlgorithmicMedia" in made
    same = png.pixels_sha256(seen) == RECORD.receipt.image.pixels_sha256
    assert same == (form is not PictureFormat.JPEG)
    if tell is Disclosure.ALL:
        assert embedded_texts(made)["parameters"] == infotext.write(RECORD)


@pytest.mark.parametrize("form", list(PictureFormat))
def test_what_was_changed_since_is_told(sealer: Sealer, form: PictureFormat) -> None:
    made = publish(DATA, Disclosure.FACTS, form, sealer)

    def codes(old: bytes, new: bytes) -> set[str]:
        assert old in made
        changed = made.replace(old, new)
        if form is PictureFormat.PNG:  # the checksums too, as whoever edits it would
            parts, rest = [png.SIGNATURE], changed[8:]
            while rest:
                size = int.from_bytes(rest[:4], "big")
                parts.append(png.serialize(rest[4:8].decode(), rest[8 : 8 + size]))
                rest = rest[12 + size :]
            changed = b"".join(parts)
        return {each.code for each in examine_published(changed).findings}

    assert codes(b"Pen Ink Mini", b"Ink Pen Mini") >= {"signature"}
    assert codes(b"digitalsourcetype/trained", b"digitalsourcetype/drained") == {
        "mark",
        "signature",
    }
    if form is not PictureFormat.PNG:
        turned = noise(48, 40, seed=1)
        buffer = io.BytesIO()
        turned.save(buffer, form.name)
        assert publication_text(buffer.getvalue()) is None
    if form is PictureFormat.JPEG:
        scan = made[-40:-20]
        assert codes(scan, bytes(reversed(scan))) == {"pixels", "signature"}


def test_all_in_a_png_is_the_file_itself_and_a_changed_one_is_not_published() -> None:
    assert publish(DATA, Disclosure.ALL, PictureFormat.PNG) == DATA
    other = io.BytesIO()
    noise(48, 40, seed=2).save(other, "PNG")
    texts = png.texts(png.chunks(DATA))
    with pytest.raises(Exception, match="not as it was made"):
        publish(png.with_texts(other.getvalue(), texts), Disclosure.MARKS, PictureFormat.PNG)


def test_a_record_that_is_too_long_for_a_jpeg_is_refused() -> None:
    long = run_record(noise(48, 40), prompt="a fox, " * 12_000)
    data = record_png.encode(noise(48, 40), long)
    with pytest.raises(Exception, match="a JPEG has room for"):
        publish(data, Disclosure.ALL, PictureFormat.JPEG)
    assert examine_published(publish(data, Disclosure.ALL, PictureFormat.WEBP)).record == long


def test_a_picture_that_is_unmarked_stays_so() -> None:
    plan = RECORD.plan.model_copy(update={"unmarked": True})
    bare = type(RECORD).of(plan, RECORD.receipt)
    data = record_png.encode(noise(48, 40), bare)
    made = publish(data, Disclosure.FACTS, PictureFormat.WEBP)
    assert examine_published(made).findings == ()
    assert marks.XMP_KEY not in png.texts(png.chunks(data))
    assert b"DigitalSourceType" not in made
    assert examine(data).ok
