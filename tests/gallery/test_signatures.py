"""Signatures: what they say of a file, and that each kind of tampering is told by name."""

import stat
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.contract.receipt import RunRecord
from studio.contract.statement import Statement
from studio.errors import SettingsError, SigningError
from studio.gallery import marks, record_png
from studio.gallery.verification import examine
from studio.imaging import png
from studio.signing.keys import LOCAL, OWN_FILE, SigningIdentity, open_identity, trusted_roots
from studio.signing.manifest import PICTURE_LABEL
from studio.signing.reading import loose_bytes
from studio.signing.sealing import Sealer
from tests.support.records import flat, noise, run_record

Chunks = list[png.Chunk]
TEXT_GONE = {"chunks", "record_hash", "signature"}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> SigningIdentity:
    return open_identity(LOCAL, None, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def record(identity: SigningIdentity) -> RunRecord:
    return run_record(noise(), negative="blurry").model_copy(update={"signer": identity.serial})


@pytest.fixture(scope="module")
def signed(identity: SigningIdentity, record: RunRecord) -> bytes:
    plain = record_png.encode(noise(), record)
    return record_png.sealed(plain, record, Sealer(identity), {})


def written(chunks: Chunks) -> bytes:
    return png.SIGNATURE + b"".join(png.serialize(each.kind, each.data) for each in chunks)


def test_a_signed_file_is_whole_and_says_what_it_was_made_from(
    signed: bytes, record: RunRecord, identity: SigningIdentity
) -> None:
    found = examine(signed)
    assert (found.judged, found.additions) == ("whole", ())
    assert found.signature is not None
    assert (found.signature.state, found.signature.serial) == ("valid", identity.serial)
    said = dict(found.signature.own)[PICTURE_LABEL]
    assert Statement.model_validate(said | {"loras": tuple(said["loras"])}) == Statement.of(record)
    assert record.plan.prompt.typed not in str(said)
    trusted = examine(signed, identity.root.decode()).signature
    assert trusted is not None
    assert trusted.state == "trusted"
    plain = len(record_png.encode(noise(), record))
    assert len(signed) - plain < 10_000


def test_without_the_library_it_is_record_and_pixels(
    signed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = examine(signed)
    assert found.judged == "whole"
    assert found.signature is not None
    assert found.signature.state == "unread"
    assert "not installed" in found.signature.words
    with pytest.raises(SigningError, match="not installed"):
        open_identity(LOCAL, None, Path("nowhere"))


def edited(key: str, change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """A text of the file changed where it stands, with every hash beside it made anew."""

    def edit(data: bytes) -> bytes:
        chunks = list(png.chunks(data))
        for at, chunk in enumerate(chunks):
            if chunk.data.startswith(key.encode() + b"\0"):
                head, text = chunk.data[: len(key) + 5], chunk.data[len(key) + 5 :].decode()
                chunks[at] = png.Chunk("iTXt", head + change(text).encode(), 0)
        return written(chunks)

    return edit


def forged(data: bytes) -> bytes:
    """Another prompt, and every hash of the record computed anew."""
    texts = png.texts(png.chunks(data))
    record = record_png.parse_record(texts[record_png.RECORD_KEY])
    plan = record.plan.model_copy(update={"seed": 43})
    image = record.receipt.image.model_copy(update={"seed": 43})
    receipt = record.receipt.model_copy(update={"image": image})
    other = record.model_copy(
        update={"plan": plan, "plan_fingerprint": plan.fingerprint, "receipt": receipt}
    )
    made = list(png.chunks(record_png.encode(noise(), other)))
    return written([made[0], list(png.chunks(data))[1], *made[1:]])


def swapped(data: bytes, one: int, other: int) -> bytes:
    chunks = list(png.chunks(data))
    chunks[one], chunks[other] = chunks[other], chunks[one]
    return written(chunks)


def without(data: bytes, at: int) -> bytes:
    chunks = list(png.chunks(data))
    return written(chunks[:at] + chunks[at + 1 :])


def with_other_pixels(data: bytes) -> bytes:
    plain = list(png.chunks(record_png.encode(flat(), run_record())))
    mine = list(png.chunks(data))
    pixels = [each for each in plain if each.kind == "IDAT"]
    head = [each for each in mine if each.kind not in ("IDAT", "IEND")]
    return written([*head, *pixels, mine[-1]])


def with_text(data: bytes) -> bytes:
    return data[:-12] + png.serialize("tEXt", b"Comment\0x") + data[-12:]


@pytest.mark.parametrize(
    ("tamper", "judged", "codes", "said"),
    [
        (forged, "signature broken", {"signature"}, "dataHash"),
        (
            edited(record_png.RECORD_KEY, lambda text: text.replace("blurry", "sharper")),
            "record edited",
            {"record_hash", "fingerprint", "parameters", "signature"},
            "dataHash",
        ),
        (
            edited(marks.XMP_KEY, lambda text: text.replace("trained", "human")),
            "mark changed",
            {"mark", "signature"},
            "dataHash",
        ),
        (with_other_pixels, "pixels changed", {"pixels", "signature"}, "dataHash"),
        (with_text, "signature broken", {"signature"}, "dataHash"),
        (lambda data: swapped(data, 3, 4), "signature broken", {"signature"}, "another order"),
        (lambda data: swapped(data, 1, 2), "signature broken", {"signature"}, "another place"),
        (lambda data: without(data, 1), "signature broken", {"signature"}, "removed"),
        (lambda data: without(data, 4), "damaged", TEXT_GONE, "dataHash"),
    ],
    ids=[
        "forged record", "edited record", "mark", "pixels", "chunk added", "texts reordered",
        "manifest moved", "manifest removed", "text removed",
    ],
)  # fmt: skip
def test_what_was_done_to_a_signed_file_is_told(
    signed: bytes,
    tamper: Callable[[bytes], bytes],
    judged: str,
    codes: set[str],
    said: str,
) -> None:
    found = examine(tamper(signed))
    assert not found.ok
    assert found.judged == judged
    assert {finding.code for finding in found.findings} == codes
    (text,) = (each.text for each in found.findings if each.code == "signature")
    assert said in text


def test_a_signature_of_another_file_is_none(
    signed: bytes, identity: SigningIdentity, record: RunRecord
) -> None:
    other = record_png.sealed(
        record_png.encode(noise(), record), run_record().model_copy(
            update={"signer": identity.serial}), Sealer(identity), {}
    )  # fmt: skip
    (finding,) = examine(other).findings
    assert "another file's" in finding.text
    with pytest.raises(SigningError, match="certificate"):
        record_png.sealed(signed, record.model_copy(update={"signer": "1"}), Sealer(identity), {})


def test_every_byte_of_the_manifest_is_signed_or_known(signed: bytes) -> None:
    """Every fifth here; those that the library passes over are known by their places."""
    chunks = list(png.chunks(signed))
    store = chunks[1].data
    assert loose_bytes(store) is None
    for at in range(0, len(store), 5):
        changed = store[:at] + bytes([store[at] ^ 0x21]) + store[at + 1 :]
        if loose_bytes(changed) is None:
            chunks[1] = png.Chunk("caBX", changed, 0)
            found = examine(written(chunks))
            assert "signature" in {finding.code for finding in found.findings}, at


@pytest.mark.parametrize("junk", [b"", b"\0" * 8, struct.pack(">I", 2**31) + b"jumb", b"x" * 99])
def test_a_manifest_that_is_none_is_told(signed: bytes, junk: bytes) -> None:
    chunks = list(png.chunks(signed))
    chunks[1] = png.Chunk("caBX", junk, 0)
    found = examine(written(chunks))
    assert (found.judged, {each.code for each in found.findings}) == (
        "signature broken",
        {"signature"},
    )


def test_the_local_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    made: list[SigningIdentity] = []
    makers = [
        threading.Thread(target=lambda: made.append(open_identity(LOCAL, None, tmp_path)))
        for _ in range(4)
    ]
    for each in makers:
        each.start()
    for each in makers:
        each.join()
    assert len({each.serial for each in made}) == 1
    assert stat.S_IMODE((tmp_path / OWN_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [OWN_FILE]
    assert "PRIVATE" not in repr(made[0]) + made[0].chain.decode()


def test_a_certificate_of_ones_own(tmp_path: Path, identity: SigningIdentity) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(identity.chain)
    key.write_bytes(identity.key)
    own = open_identity(str(chain), key, tmp_path)
    assert (own.serial, own.is_local, own.algorithm) == (identity.serial, False, "ES256")
    other = open_identity(LOCAL, None, tmp_path / "other")
    for sign, secret, words in (
        (chain, None, "no private key"),
        (key, key, "no certificate"),
        (chain, other.place, "not that of the first certificate"),
        (tmp_path / "gone.pem", None, "cannot be read"),
    ):
        with pytest.raises(SettingsError, match=words):
            open_identity(str(sign), secret, tmp_path)
    with pytest.raises(SettingsError, match="TRUST"):
        trusted_roots((tmp_path / "gone.pem",))
    with pytest.raises(SettingsError, match="no certificate"):
        trusted_roots((key,))
