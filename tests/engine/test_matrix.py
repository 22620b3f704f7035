"""Every kind of base with LoRAs: plan, generate, gallery, verify, in every mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.engine.tiny import TINY
from tests.engine.conftest import OpenStudio, TinyBases
from tests.matrix import EDITS, ROWS, Row, with_table
from tests.support.made_loras import peft_lora
from tests.support.studios import Made, TinyStudio

TRIGGER = "inkstyle"
INK, NEON = ("ink", 0.8), ("neon", 0.5)
PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


@pytest.fixture(scope="module", params=ROWS, ids=[row.name for row in ROWS])
def row(request: pytest.FixtureRequest) -> Row:
    found = request.param
    assert isinstance(found, Row)
    return found


@pytest.fixture(scope="module")
def studio(
    row: Row,
    open_studio: OpenStudio,
    tiny_bases: TinyBases,
    tmp_path_factory: pytest.TempPathFactory,
) -> TinyStudio:
    """With two LoRAs in the diffusers format; ``ink`` has trigger words."""
    folder, base = tmp_path_factory.mktemp("loras"), tiny_bases(row.pipeline, row.variant)
    loras = {
        slug: (peft_lora(row.pipeline, base, folder / f"{slug}.safetensors", seed), words)
        for seed, (slug, words) in enumerate((("ink", TRIGGER), ("neon", "")), start=1)
    }
    return open_studio(row.pipeline, row.variant, loras=loras, **row.settings)


@pytest.fixture(scope="module")
def base(studio: TinyStudio) -> Made:
    return studio.make()


@pytest.fixture(scope="module")
def ink(studio: TinyStudio, base: Made) -> Made:
    return studio.make(INK, mode=Mode.LORA)


def parts_of(made: Made) -> dict[str, set[str]]:
    return {
        lora.slug: {part.component for part in lora.components}
        for lora in made.record.receipt.loras
    }


def test_the_lora_changes_the_picture_through_every_part(ink: Made, base: Made, row: Row) -> None:
    assert parts_of(ink) == {"ink": set(row.parts)}
    assert ink.pixels != base.pixels
    assert TRIGGER not in ink.record.plan.prompt.text


def test_its_trigger_words_count_with_it_and_alone(
    studio: TinyStudio, base: Made, ink: Made
) -> None:
    both = studio.make(INK, mode=Mode.LORA_WITH_TRIGGER)
    words = studio.make(INK, mode=Mode.TRIGGER_ONLY)
    assert TRIGGER in both.record.plan.prompt.text
    assert both.record.plan.prompt.text == words.record.plan.prompt.text
    assert words.record.receipt.loras == ()
    assert len({made.pixels for made in (base, ink, both, words)}) == 4


def test_two_loras_stack(studio: TinyStudio, ink: Made, row: Row) -> None:
    both = studio.make(INK, NEON, mode=Mode.LORA)
    assert parts_of(both) == {"ink": set(row.parts), "neon": set(row.parts)}
    assert both.pixels != ink.pixels
    assert studio.make(NEON, INK, mode=Mode.LORA).pixels == both.pixels


def test_strength_0_is_the_base_to_the_bit(studio: TinyStudio, base: Made) -> None:
    assert studio.make(("ink", 0.0), mode=Mode.LORA).pixels == base.pixels


def test_the_base_is_itself_again_afterwards(studio: TinyStudio, base: Made) -> None:
    studio.make(INK, NEON, mode=Mode.LORA)
    again = studio.make()
    assert again.pixels == base.pixels
    assert again.record.receipt.base_proof.holds


def test_every_tiny_base_is_in_a_row() -> None:
    tried = {row.pipeline for row in (*ROWS, *EDITS)}
    assert tried <= TINY.keys()


def test_the_readme_says_what_is_tried() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m tests.matrix --write docs/architectures.md"
