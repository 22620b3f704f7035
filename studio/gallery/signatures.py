"""The signature of a PNG file of the studio's against the record in it."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from studio.contract.base import canonical_json
from studio.contract.statement import Statement
from studio.imaging import png
from studio.signing import reading
from studio.signing.reading import Signature

CHUNK = "caBX"
"""Where C2PA keeps its manifests in a PNG (C2PA 2.x, annex A.3)."""


def signature_of(data: bytes, chunks: Sequence[png.Chunk], trust: str) -> Signature | None:
    """None where the file has no manifest."""
    stores = [chunk.data for chunk in chunks if chunk.kind == CHUNK]
    if not stores:
        return None
    if len(stores) > 1:
        return Signature("broken", reasons=("the file has more than one chunk of manifests",))
    return reading.read(data, "image/png", stores[0], trust)


def problems(
    signer: str | None, signature: Signature | None, label: str, said: BaseModel | Any
) -> Iterator[str]:
    """What is wrong with the signature of a file whose record names ``signer``, in sentences.

    Args:
        label, said: the assertion that it must have, and what that must say.
    """
    if signer is None:
        return  # whoever signed it later answers for that; see ``Verification.additions``
    if signature is None:
        yield "The signature that its record speaks of is gone: the manifest was removed."
    elif signature.state == "broken":
        yield f"The signature is broken: {'; '.join(signature.reasons)}."
    elif signature.is_whole and signature.serial != signer:
        yield (
            f"It is signed by {signature.by} (certificate {signature.serial}), and its record "
            f"names the certificate {signer}."
        )
    elif signature.is_whole and not _same(dict(signature.own).get(label), said):
        yield "The signature is another file's: what it says is not what the record says."


def _same(found: Any, said: BaseModel | Any) -> bool:
    """Numbers may come back as whole ones."""
    if said is None:
        return found is None
    if isinstance(said, BaseModel):
        try:
            stated = type(said).model_validate_json(canonical_json(found))
        except ValueError:
            return False
        earlier = said.without_finer if isinstance(said, Statement) else said
        return stated in (said, earlier)
    return canonical_json(found) == canonical_json(said)


def order_of(chunks: Sequence[png.Chunk], keywords: Sequence[str]) -> str | None:
    """How the chunks of an intact file stand otherwise than the studio wrote them; None where
    they do not."""
    texts = [chunk.data for chunk in chunks if chunk.kind == "iTXt"]
    found = [data.partition(b"\0")[0].decode("latin-1") for data in texts]
    if sorted(found) == sorted(keywords) and found != list(keywords):
        return "Its texts stand in another order."
    if chunks[1].kind != CHUNK:
        return "The manifest stands at another place."
    return None
