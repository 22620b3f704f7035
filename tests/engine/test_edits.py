"""Reference pictures end to end: handed in, planned, edited with LoRAs, kept and verified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL.Image import Image

from studio.architecture import Mode
from tests.engine.conftest import OpenStudio, TinyBases
from tests.flow import reference
from tests.made_loras import peft_lora
from tests.matrix import EDITS, ROWS, Row
from tests.studios import Made, TinyStudio

KLEIN = next(row for row in ROWS if row.name == "Flux2KleinPipeline (base)")
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
    """A studio around a row's base, with a LoRA ``ink``."""

    def studio(row: Row) -> TinyStudio:
        base = tiny_bases(row.pipeline, row.variant)
        path = tmp_path_factory.mktemp("lora") / "ink.safetensors"
        loras = {"ink": (peft_lora(row.pipeline, base, path), "")}
        return open_studio(row.pipeline, row.variant, loras=loras, **row.settings)

    return studio


@pytest.mark.parametrize("row", [*EDITS, KLEIN], ids=lambda row: row.pipeline)
def test_an_edit_with_a_lora_leaves_the_base_as_it_was(
    row: Row, studios: Callable[[Row], TinyStudio]
) -> None:
    edit = edit_of(studios(row), reference())
    before, with_lora = edit(), edit(("ink", 1.0))
    assert with_lora.record.receipt.effect is not None
    assert with_lora.record.receipt.effect > 0
    assert with_lora.pixels != before.pixels
    assert edit().pixels == before.pixels


def test_strength_0_and_another_reference(studios: Callable[[Row], TinyStudio]) -> None:
    studio = studios(KLEIN)
    edit = edit_of(studio, reference())
    before = edit()
    assert edit(("ink", 0.0)).pixels == before.pixels
    assert edit_of(studio, reference(96, 80))().pixels != before.pixels
