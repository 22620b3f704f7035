"""Users suffer: trigger words are lost or stale, and their place in the prompt matters."""

import pytest

from studio.architecture import Mode
from studio.contract.prompt import PartKind
from tests.support.worlds import World

SD = "StableDiffusionPipeline"
INK = {"prompt": "phrsink, pen and ink", "trigger": "required"}


def marked(world: World, prompt: str) -> tuple[str, list[str]]:
    plan = world.plan(mode=Mode.LORA_WITH_TRIGGER, prompt=prompt)
    triggers = [part.text for part in plan.prompt.parts if part.kind is PartKind.TRIGGER]
    return plan.prompt.text, triggers


def test_words_that_are_absent_are_added_once_at_the_end() -> None:
    text, triggers = marked(World(SD, lora=INK), "a rocket")
    assert text == "a rocket, phrsink, pen and ink"
    assert triggers == ["phrsink", "pen and ink"]


@pytest.mark.parametrize(
    "prompt", ["phrsink, a rocket, pen and ink", "a PHRSINK rocket in pen  and ink", "phrsink: x"]
)
def test_words_that_are_there_stay_where_they_were_put(prompt: str) -> None:
    text, _ = marked(World(SD, lora=INK), prompt)
    assert text.startswith(prompt)
    assert text.lower().count("phrsink") == 1


def test_words_of_the_preset_as_it_is_now_are_used() -> None:
    """Nothing is remembered from an earlier request."""
    old, _ = marked(World(SD, lora=INK), "a rocket")
    new, _ = marked(World(SD, lora={**INK, "prompt": "newword"}), "a rocket")
    assert (old, new) == ("a rocket, phrsink, pen and ink", "a rocket, newword")


def test_words_of_a_lora_that_is_gone_are_not_left_behind() -> None:
    wrong = World(SD, lora=INK).violations(mode=Mode.BASE, loras=(), prompt="phrsink, a rocket")
    assert set(wrong) == {"trigger_forbidden"}
    assert "Ink" in wrong["trigger_forbidden"].found
