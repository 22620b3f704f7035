"""Users suffer: the prompt's end, trigger words first, falls off after 77 tokens unseen."""

import pytest

from studio.architecture import Mode
from studio.contract.request import PromptEncoder
from tests.support.worlds import AROUND, World

SD = "StableDiffusionPipeline"
ROOM = 77 - AROUND
LONG = " ".join(["x" * 4] * 40)
INK = {"prompt": "phrsink", "trigger": "required"}
NATIVE = {"mode": Mode.LORA_WITH_TRIGGER, "prompt_encoder": PromptEncoder.NATIVE}


def test_compel_reads_to_the_end() -> None:
    plan = World(SD, lora=INK).plan(mode=Mode.LORA_WITH_TRIGGER, prompt=LONG)
    assert plan.prompt.text == f"{LONG}, phrsink"
    assert {entry.limit for entry in plan.prompt.ledger} == {None}


def test_natively_nothing_is_cut_without_consent() -> None:
    wrong = World(SD, lora=INK).violations(prompt=LONG, **NATIVE)
    assert set(wrong) == {"prompt_too_long"}
    assert f"reads {ROOM} tokens" in wrong["prompt_too_long"].found


def test_with_consent_the_users_words_are_cut_and_never_the_triggers() -> None:
    plan = World(SD, lora=INK).plan(prompt=LONG, allow_cut=True, **NATIVE)
    assert plan.prompt.text.endswith("phrsink")
    entry = plan.prompt.ledger[0]
    assert entry.used <= ROOM
    assert entry.cut > 0
    cut = "".join(part.text for part in plan.prompt.parts if part.cut)
    assert cut
    assert "phrsink" not in cut


@pytest.mark.parametrize("name", ["Flux2KleinPipeline", "QwenImagePipeline", "ZImagePipeline"])
def test_the_long_windows_are_guarded_too(name: str) -> None:
    wrong = World(name).violations(prompt="x" * 600)
    assert set(wrong) == {"prompt_too_long"}
