"""Equal prompts are read once, and anything that changes the reading reads them anew."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from studio.engine import Engine
from studio.engine.text import encode as kept
from studio.engine.text.encode import encode
from tests.support.plans import make_job, pictures, pixels


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that were really encoded, as they are."""
    texts: list[str] = []
    real = encode

    def counted(family: Any, pipeline: Any, plan: Any, references: Any) -> Any:
        texts.append(plan.prompt.text)
        return real(family, pipeline, plan, references)

    monkeypatch.setattr(kept, "encode", counted)
    return texts


def test_arms_that_share_their_words_share_their_reading(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], read: list[str]
) -> None:
    plain = (tiny_loras["plain"], 1.0)
    alone = pixels(engine, tiny_base, prompt="a cat")
    with_lora = pixels(engine, tiny_base, plain, prompt="a cat")
    assert pixels(engine, tiny_base, prompt="a cat", seed=8) != alone
    assert read == ["a cat"], "the LoRA does not reach the text encoder"
    assert pixels(Engine(engine._settings), tiny_base, plain, prompt="a cat") == with_lora
    assert read == ["a cat", "a cat"]


def test_a_lora_in_the_text_encoder_reads_for_itself(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], read: list[str]
) -> None:
    text = tiny_loras["text"]
    for strength in (1.0, 0.5, 1.0):
        pictures(engine, make_job(tiny_base, (text, strength), prompt="a cat"))
    pictures(engine, make_job(tiny_base, prompt="a cat"))
    assert len(read) == 3, "two strengths and the base"


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a rocket"},
        {"negative": "blue"},
        {"clip_skip": 2},
        {"guidance": 1.0},
    ],
)
def test_what_shapes_the_reading_reads_anew(
    engine: Engine, tiny_base: Path, read: list[str], change: dict[str, Any]
) -> None:
    pictures(engine, make_job(tiny_base, prompt="a cat", steps=1))
    pictures(engine, make_job(tiny_base, steps=2, **({"prompt": "a cat"} | change)))
    assert len(read) == 2


def test_old_readings_go(engine: Engine, tiny_base: Path, read: list[str]) -> None:
    words = [f"a cat {number}" for number in range(kept.KEPT + 1)]
    for text in (*words, words[1], words[0]):
        pictures(engine, make_job(tiny_base, prompt=text, steps=1))
    assert read == [*words, words[0]]


def test_what_was_said_over_a_reading_is_said_with_it_again(
    engine: Engine, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encode

    def outspoken(*given: Any) -> Any:
        logging.getLogger("transformers").warning("Part of the text is odd.")
        return real(*given)

    monkeypatch.setattr(kept, "encode", outspoken)
    for seed in (1, 2):
        (made,) = pictures(engine, make_job(tiny_base, seed=seed, steps=1))
        assert "Part of the text is odd." in made.receipt.warnings
