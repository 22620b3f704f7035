"""The publisher's facts beside the weights, written whole or not at all."""

import os
from pathlib import Path

from studio.library.downloads.part import part_of
from studio.presets.model_card import Published, beside, read_published


def write_beside(weights: Path, published: Published) -> str | None:
    """Write ``NAME.json``; a sentence where another tool's file of that name is kept instead.

    Raises:
        OSError: the disk does not take it.
    """
    target = beside(weights)
    if target.exists() and read_published(target.read_bytes()) is None:
        return f"{target.name} is another program's and is kept, without the publisher's facts."
    text = published.model_dump_json(indent=1, exclude_none=True) + "\n"
    # Only who fetches the weights writes here, and holds their lock.
    temporary = part_of(target)
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
    return None
