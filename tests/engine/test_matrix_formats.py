"""LoRA formats through the whole studio, each of them from its file to a verified picture.

That each format is the same ΔW in the same modules is shown in ``test_formats``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.engine.tiny import build_tiny
from tests.engine.conftest import OpenStudio
from tests.matrix import FORMAT_ROWS, Row
from tests.support.lora_formats import FORMATS, held, tiny_lora
from tests.support.studios import TinyStudio, architecture_of

Written = tuple[Path, dict[str, int]]
"""A file, and the layers it has by component."""


def slug_of(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


@pytest.fixture(scope="module", params=FORMAT_ROWS, ids=[row.pipeline for row in FORMAT_ROWS])
def row(request: pytest.FixtureRequest) -> Row:
    found = request.param
    assert isinstance(found, Row)
    return found


@pytest.fixture(scope="module")
def written(row: Row, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """The same LoRA in every format, as far as the format can hold it, by slug."""
    folder = tmp_path_factory.mktemp("formats")
    texts = any(part.startswith("text_encoder") for part in row.parts)
    lora = tiny_lora(build_tiny(row.pipeline, variant=row.variant), text_encoders=texts)
    files = {}
    for name, format in FORMATS[architecture_of(row.pipeline)].items():
        kept = held(lora, format)
        path = format.write(kept, folder / f"{slug_of(name)}.safetensors")
        files[slug_of(name)] = (path, {part: len(layers) for part, layers in kept.items()})
    return files


@pytest.fixture(scope="module")
def studio(row: Row, written: dict[str, Written], open_studio: OpenStudio) -> TinyStudio:
    loras = {slug: (path, "") for slug, (path, _) in written.items()}
    return open_studio(row.pipeline, row.variant, loras=loras, **row.settings)


def test_every_format_makes_a_picture_through_every_layer(
    row: Row, studio: TinyStudio, written: dict[str, Written]
) -> None:
    """Planned, made, kept and verified; see ``TinyStudio.make``."""
    base = studio.make()
    for slug, (_, modules) in written.items():
        made = studio.make((slug, 1.0), mode=Mode.LORA)
        (use,) = made.record.plan.loras
        (applied,) = made.record.receipt.loras
        found = {part.component: part.applied for part in applied.components}
        assert use.modules == found == modules, slug
        assert made.pixels != base.pixels, slug


def test_formats_stack_and_leave_the_base_as_it_was(
    row: Row, studio: TinyStudio, written: dict[str, Written]
) -> None:
    base, alone = studio.make(), studio.make(("kohya", 0.5), mode=Mode.LORA)
    both = studio.make(("kohya", 0.5), ("lokr", 0.5), mode=Mode.LORA)
    applied = [
        {part.component: part.applied for part in lora.components}
        for lora in both.record.receipt.loras
    ]
    assert applied == [written["kohya"][1], written["lokr"][1]]
    assert len({base.pixels, alone.pixels, both.pixels}) == 3
    assert studio.make(("lokr", 0.0), mode=Mode.LORA).pixels == base.pixels
    assert studio.make().pixels == base.pixels
