"""Reference pictures end to end: handed in, planned, edited with LoRAs, kept and verified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL.Image import Image

from studio.architecture import Mode
from tests.engine.conftest import OpenStudio, TinyBases
from tests.matrix import EDITS, ROWS, Row
from tests.support.flow import reference
from tests.support.made_loras import peft_lora
from tests.support.studios import Made, TinyStudio

EDITING = [row for row in (*ROWS, *EDITS) if Mode.REFERENCE_EDIT in row.modes]
Edit = Callable[..., Made]


def edit_of(studio: TinyStudio, picture: Image) -> Edit:
    """Edits of ``picture``, by LoRAs and their strengths."""
    path = studio.base.parent / "given.png"
    picture.save(path)
    given = studio.workspace.add_reference(path)

    def edit(*loras: tuple[str, float]) -> Made:
        made = studio.make(*loras, mode=Mode.REFERENCE_EDIT, references=(given,))
        assert made.record.receipt.references == (given.sha256,)
        return made

    return edit


@pytest.fixture(scope="module")
def studios(
    open_studio: OpenStudio, tiny_bases: TinyBases, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Row], TinyStudio]:
    """A studio around a row's base, with the LoRAs ``ink`` and ``neon``."""

    def studio(row: Row) -> TinyStudio:
        base = tiny_bases(row.pipeline, row.variant)
        folder = tmp_path_factory.mktemp("loras")
        loras = {
            slug: (peft_lora(row.pipeline, base, folder / f"{slug}.safetensors", seed), "")
            for seed, slug in enumerate(("ink", "neon"), start=1)
        }
        return open_studio(row.pipeline, row.variant, loras=loras, **row.settings)

    return studio


@pytest.mark.parametrize("row", EDITING, ids=lambda row: row.name)
def test_edits_with_loras_leave_the_base_as_it_was(
    row: Row, studios: Callable[[Row], TinyStudio]
) -> None:
    """Each picture is planned, made, kept and verified; see ``TinyStudio.make``."""
    studio = studios(row)
    edit = edit_of(studio, reference())
    before, with_lora = edit(), edit(("ink", 1.0))
    (applied,) = with_lora.record.receipt.loras
    assert {part.component for part in applied.components} == set(row.parts)
    assert with_lora.record.receipt.layer_effect is not None
    assert with_lora.record.receipt.layer_effect > 0
    assert with_lora.pixels != before.pixels
    both = edit(("ink", 1.0), ("neon", 0.5))
    assert [lora.slug for lora in both.record.receipt.loras] == ["ink", "neon"]
    assert both.pixels not in (before.pixels, with_lora.pixels)
    assert edit(("ink", 0.0)).pixels == before.pixels
    after = edit()
    assert after.pixels == before.pixels
    assert after.record.receipt.base_proof.holds
    assert edit_of(studio, reference(96, 80))().pixels != before.pixels
