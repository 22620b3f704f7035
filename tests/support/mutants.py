"""Files that were tampered with, of every kind: bytes, chunks, texts, with checksums made good."""

import random
from collections.abc import Iterator, Sequence

from studio.errors import GalleryError
from studio.gallery import record_png
from studio.gallery.verification import examine
from studio.imaging import png


def mutant(data: bytes, others: Sequence[bytes], rnd: random.Random) -> bytes:
    """``data`` changed in one place; ``others`` lend chunks of theirs."""
    kind = rnd.randrange(10)
    at = rnd.randrange(len(data))
    match kind:
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << rnd.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + rnd.randrange(1, 64) :]
        case 2:
            return data[:at] + rnd.randbytes(rnd.randrange(1, 64)) + data[at:]
        case 3:
            return data[:at]
        case 4:
            return data + rnd.randbytes(rnd.randrange(1, 64))
    chunks = list(png.chunks(data))
    place = rnd.randrange(len(chunks))
    held = chunks[place]
    match kind:
        case 5 | 6:  # what a chunk holds, with its checksum made good
            body = bytearray(held.data or b"\0")
            body[rnd.randrange(len(body))] ^= 1 << rnd.randrange(8)
            chunks[place] = png.Chunk(held.kind, bytes(body), 0)
        case 7:
            del chunks[place]
        case 8:
            chunks.insert(rnd.randrange(1, len(chunks)), held)
        case _:
            loan = rnd.choice(png.chunks(rnd.choice(others)))
            chunks[place] = loan
    return png.SIGNATURE + b"".join(png.serialize(each.kind, each.data) for each in chunks)


def false_wholes(files: Sequence[bytes], count: int, seed: int = 0) -> Iterator[str]:
    """Of ``count`` mutants, those that are called whole and are not: another byte in a signed
    file; other pixels, or another text of the studio's, in one that is not.

    Whatever ``examine`` raises comes through.
    """
    rnd = random.Random(seed)
    seen = [(data, _meaning(data)) for data in files]
    for number in range(count):
        data, meaning = seen[number % len(seen)]
        changed = mutant(data, files, rnd)
        found = examine(changed)
        if changed == data or not found.ok:
            continue
        signed = found.record is not None and found.record.signer is not None
        if signed or _meaning(changed) != meaning:
            yield f"mutant {number}: {found.judged}"


def _meaning(data: bytes) -> tuple[str, dict[str, str]]:
    try:
        texts = png.texts(png.chunks(data))
        return png.pixels_sha256(record_png.decode(data)), {
            key: text for key, text in texts.items() if key.startswith(("lora-", "param", "XML"))
        }
    except GalleryError:
        return "", {}
