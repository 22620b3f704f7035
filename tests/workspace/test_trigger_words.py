"""Trigger words with an encoder's own marks in them, as a real tokenizer and Compel read them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator

import pytest

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.prompt import PartKind, Side
from studio.contract.request import GenerationRequest, LoraChoice, Overrides, PromptEncoder
from studio.contract.violations import Violation
from studio.settings import Settings
from studio.workspace.workspace import Workspace
from tests.ui.conftest import ROOT

WORDS = {
    "plain": "artist (series), c++, retro-",
    "escaped": "artist \\(series\\)，c\\+\\+, retro-",
    "quoted": 'the "x", (sign)+',
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("words")
    models, presets = folder / "models", folder / "presets"
    models.mkdir()
    presets.mkdir()
    shutil.copy(ROOT / "presets/mini/loras/pen-ink-mini.safetensors", models / "a.safetensors")
    loras = [
        {
            "slug": slug,
            "label": slug.title(),
            "base_architecture": "mini",
            "path": "a.safetensors",
            "prompt": words,
            "negative_prompt": "low (quality), a-",
            "trigger": "required",
        }
        for slug, words in WORDS.items()
    ]
    (presets / "loras.json").write_text(json.dumps({"loras": loras}))
    workspace = Workspace.open(
        Settings(models, folder / "outputs", folder / "state", (presets,), device="cpu")
    )
    assert not workspace.problems, workspace.problems
    yield workspace
    workspace.close()


def asked(
    workspace: Workspace, slug: str, prompt: str, encoder: PromptEncoder
) -> RunPlan | tuple[Violation, ...]:
    return workspace.plan(
        GenerationRequest(
            base="mini",
            mode=Mode.LORA_WITH_TRIGGER,
            prompt=prompt,
            loras=(LoraChoice(slug=slug),),
            prompt_encoder=encoder,
            seed=1,
            settings=Overrides(steps=1),
        )
    )


@pytest.mark.parametrize("slug", ["plain", "escaped"])
@pytest.mark.parametrize("encoder", list(PromptEncoder))
def test_a_presets_words_reach_either_encoder_as_their_characters(
    workspace: Workspace, slug: str, encoder: PromptEncoder
) -> None:
    plan = asked(workspace, slug, "a rocket", encoder)
    assert isinstance(plan, RunPlan)
    count = {entry.side: entry.used for entry in plan.prompt.ledger}
    assert count[Side.PROMPT] == used(workspace, "a rocket, artist (series), c++, retro-")
    assert count[Side.NEGATIVE] == used(workspace, "low (quality), a-")
    if encoder is PromptEncoder.NATIVE:
        assert plan.prompt.text == "a rocket, artist (series), c++, retro-"
    last = list(workspace.run(plan, workspace.open_session(), threading.Event()))[-1]
    assert isinstance(last, Finished)
    read = {each.side: each.tokens for each in last.record.receipt.encoding}
    assert read == count
    assert not [each for each in plan.notices if each.code == "weight_as_text"]


def used(workspace: Workspace, text: str) -> int:
    """Tokens of a text that is read as it stands; as a negative, which is free of rules."""
    plan = workspace.plan(
        GenerationRequest(
            base="mini",
            mode=Mode.BASE,
            prompt="a rocket",
            negative_prompt=text,
            prompt_encoder=PromptEncoder.NATIVE,
            seed=1,
        )
    )
    assert isinstance(plan, RunPlan)
    return next(entry.used for entry in plan.prompt.ledger if entry.side is Side.NEGATIVE)


@pytest.mark.parametrize("typed", ["artist (series)", "Artist \\(series\\)"])
@pytest.mark.parametrize("slug", ["plain", "escaped"])
@pytest.mark.parametrize("encoder", list(PromptEncoder))
def test_two_spellings_are_one_trigger(
    workspace: Workspace, typed: str, slug: str, encoder: PromptEncoder
) -> None:
    plan = asked(workspace, slug, f"{typed}, a rocket", encoder)
    assert isinstance(plan, RunPlan)
    marked = [part.text for part in plan.prompt.parts if part.kind is PartKind.TRIGGER]
    shown = "artist \\(series\\)" if encoder is PromptEncoder.COMPEL else "artist (series)"
    assert [each.lower() for each in marked if "series" in each] == [shown]
    assert plan.prompt.text.lower().startswith(shown)


def test_either_spelling_is_a_trigger_where_none_may_be(workspace: Workspace) -> None:
    for typed in ("artist (series)", "a artist \\(series\\)", "c\\+\\+", "c++", "c ++"):
        request = GenerationRequest(base="mini", mode=Mode.BASE, prompt=typed, seed=1)
        answer = workspace.plan(request)
        assert not isinstance(answer, RunPlan)
        assert "trigger_forbidden" in {each.code for each in answer}


def test_what_compel_cannot_be_told_is_refused_and_read_natively(workspace: Workspace) -> None:
    refused = asked(workspace, "quoted", "a rocket", PromptEncoder.COMPEL)
    assert not isinstance(refused, RunPlan)
    assert {each.code for each in refused} == {"trigger_missing"}
    assert isinstance(asked(workspace, "quoted", "a rocket", PromptEncoder.NATIVE), RunPlan)
