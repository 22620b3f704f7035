"""Reads signatures with the official C2PA library, and says what they prove."""

import io
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from studio.signing.keys import is_installed
from studio.signing.manifest import OWN_GENERATOR, OWN_LABELS
from studio.signing.sealing import OFFLINE

SignatureState = Literal["trusted", "valid", "broken", "unread"]
MAX_STORE = 2**22
"""Bytes of the largest manifest that is read."""

_PLACES = (
    ("assertion.dataHash", "the file's bytes outside the manifest are not the ones signed"),
    ("assertion.hashedURI", "an assertion of the manifest was changed"),
    ("claimSignature", "the claim, or the signature over it, was changed"),
    ("signingCredential", "the signing certificate was changed or cannot sign this"),
    ("ingredient", "what it says of an ingredient was changed"),
)
_HARMLESS = frozenset({"signingCredential.untrusted"})
"""Of a valid signature: nobody named its root, which is no fault of the file."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A C2PA manifest and what became of its signature.

    Attributes:
        state: ``trusted``: whole, by a root the user named; ``valid``: whole, by a key that nobody
            vouches for; ``broken``; ``unread``: the library is not installed.
        by: common name in the signing certificate; ``serial``: its number.
        own: label → the studio's own assertions.
        reasons: where it is broken, in words.
    """

    state: SignatureState
    by: str = ""
    serial: str = ""
    own: tuple[tuple[str, Any], ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return self.state in ("trusted", "valid")

    @property
    def words(self) -> str:
        """What it means, in a sentence."""
        match self.state:
            case "trusted":
                return f"signed by {self.by}, whose root you named as trusted; unchanged since"
            case "valid":
                return (
                    f"signed by {self.by}, for whom nobody vouches: unchanged since then, which "
                    "does not say who made it"
                )
            case "unread":
                return "the signature was not read, because c2pa-python is not installed"
        return f"the signature is broken: {'; '.join(self.reasons)}"


def read(data: bytes, media_type: str, store: bytes, trust: str = "") -> Signature:
    """The signature of the file ``data``; nothing is raised.

    Args:
        store: its manifests' bytes, as they lie in it.
        trust: certificates of roots that the user named, PEM.
    """
    if not is_installed():
        return Signature("unread")
    if len(store) > MAX_STORE:
        return Signature("broken", reasons=(f"its manifest has {len(store):,} bytes",))
    import c2pa

    settings = OFFLINE | ({"trust": {"user_anchors": trust}} if trust else {})
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(settings))
        with c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
            whole = json.loads(reader.json())
    except (c2pa.C2paError, ValueError) as error:
        said = re.sub(r"\s+", " ", str(error))[:200]
        return Signature("broken", reasons=(f"the manifest cannot be read ({said})",))
    return _judged(whole, store)


def _judged(whole: dict[str, Any], store: bytes) -> Signature:
    active = whole.get("manifests", {}).get(whole.get("active_manifest"), {})
    signed = active.get("signature_info") or {}
    own = tuple(
        (each["label"], each.get("data"))
        for each in active.get("assertions", ())
        if each.get("label") in OWN_LABELS
    )
    results = whole.get("validation_results", {})
    failed = results.get("activeManifest", {}).get("failure", [])
    codes = {str(each.get("code")) for each in failed} - _HARMLESS
    reasons = list(_reasons(codes))
    is_whole = whole.get("validation_state") in ("Valid", "Trusted")
    makers = {each.get("name") for each in active.get("claim_generator_info", ())}
    if OWN_GENERATOR in makers and (place := loose_bytes(store)):
        # The library passes over them; of our own manifests each byte is known or signed.
        reasons.append(f"bytes of the manifest that nothing signs were changed ({place})")
    if reasons or not is_whole:
        reasons = reasons or ["the library calls it invalid"]
    state: SignatureState = "broken"
    if not reasons:
        state = "trusted" if whole["validation_state"] == "Trusted" else "valid"
    return Signature(
        state,
        by=str(signed.get("common_name") or signed.get("issuer") or "somebody"),
        serial=str(signed.get("cert_serial_number") or ""),
        own=own,
        reasons=tuple(reasons),
    )


def _reasons(codes: set[str]) -> Iterator[str]:
    for beginning, words in _PLACES:
        found = sorted(code for code in codes if code.startswith(beginning))
        if found:
            yield f"{words} ({', '.join(found)})"
    known = tuple(beginning for beginning, _ in _PLACES)
    rest = sorted(code for code in codes if not code.startswith(known))
    if rest:
        yield f"the manifest is malformed ({', '.join(rest)})"


# The bytes of a manifest that its signature does not cover, of manifests as ``Sealer`` makes them:
# lengths and labels of the boxes, and the room that was kept for the signature.

_LABELS = frozenset({b"c2pa.assertions", b"c2pa.claim.v2", b"c2pa.signature", b"c2pa.databoxes"})
_COSE = re.compile(rb"\xd2\x84(?:\x58(?P<p1>.)|\x59(?P<p2>..))(?P<rest>.*)", re.DOTALL)
_ROOM = re.compile(
    rb"\xa1\x63pad(?:(?P<l0>[\x40-\x57])|\x58(?P<l1>.)|\x59(?P<l2>..))(?P<zeros>\0*)"
    rb"\xf6(?:\x58(?P<s1>.)|\x59(?P<s2>..))(?P<signature>.*)",
    re.DOTALL,
)


def loose_bytes(store: bytes) -> str | None:
    """Where a manifest store differs from what can be signed; None where it does not."""
    try:
        return _box(store, 0, len(store), 0)
    except (struct.error, IndexError, ValueError):
        return "a box that is cut off"


def _box(store: bytes, start: int, end: int, depth: int) -> str | None:
    """A JUMBF superbox (ISO/IEC 19566-5) that fills ``start`` to ``end``."""
    length, kind = struct.unpack(">I4s", store[start : start + 8])
    if kind != b"jumb" or length != end - start:
        return f"the length of a box at byte {start}"
    inner, description = struct.unpack(">I4s", store[start + 8 : start + 16])
    if description != b"jumd" or not 25 < inner <= length - 8:
        return f"the description of a box at byte {start}"
    label = store[start + 33 : start + 8 + inner].partition(b"\0")[0]
    if (depth == 0 and label != b"c2pa") or (depth == 2 and label not in _LABELS):
        return f"the label of a box at byte {start}"
    place = start + 8 + inner
    if depth == 2 and label == b"c2pa.signature":
        return _signature(store[place + 8 : end], place)
    is_store = depth < 2 or label == b"c2pa.assertions"
    while is_store and place < end:
        (size,) = struct.unpack(">I", store[place : place + 4])
        if size < 8 or place + size > end:
            return f"the length of a box at byte {place}"
        if depth < 2 and (found := _box(store, place, place + size, depth + 1)):
            return found
        place += size
    return None


def _signature(cose: bytes, place: int) -> str | None:
    """COSE_Sign1 (RFC 9052): protected headers, the room as zeros, no payload, the signature."""
    where = f"the signature's box at byte {place}"
    head = _COSE.fullmatch(cose)
    if head is None:
        return where
    protected = int.from_bytes(head["p1"] or head["p2"], "big")
    found = _ROOM.fullmatch(head["rest"][protected:])
    if found is None:
        return where
    said = found["l1"] or found["l2"]
    room = found["l0"][0] - 0x40 if found["l0"] else int.from_bytes(said, "big")
    signed = int.from_bytes(found["s1"] or found["s2"], "big")
    exact = room == len(found["zeros"]) and signed == len(found["signature"])
    return None if exact else where
