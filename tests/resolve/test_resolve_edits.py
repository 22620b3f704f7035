"""The mode that edits reference images: its pictures, its LoRAs and their trigger words."""

import dataclasses

import pytest

from studio.architecture import PIPELINES, TRAITS, Mode
from studio.contract.plan import RunPlan
from studio.contract.prompt import PartKind
from studio.contract.request import ReferenceImage
from studio.presets import LoraPreset
from tests.support.worlds import PICTURE, World, architecture_of

EDITORS = sorted(name for name, each in PIPELINES.items() if each.max_references)
KONTEXT = "FluxKontextPipeline"
EDIT = {"mode": Mode.REFERENCE_EDIT, "references": (PICTURE,)}


@pytest.fixture(autouse=True)
def _every_family_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, traits in TRAITS.items():
        monkeypatch.setitem(TRAITS, key, dataclasses.replace(traits, runnable=True))


@pytest.mark.parametrize("name", EDITORS)
def test_an_edit_needs_no_lora(name: str) -> None:
    plan = World(name).plan(**EDIT)
    assert (plan.mode, plan.references, plan.loras) == (Mode.REFERENCE_EDIT, (PICTURE,), ())


@pytest.mark.parametrize("name", EDITORS)
def test_an_edit_applies_loras_with_the_words_they_require(name: str) -> None:
    plan = World(name, lora={}).plan(**EDIT)
    assert [use.slug for use in plan.loras] == ["ink"]
    assert plan.prompt.text == "a rocket, phrsink"
    assert plan.triggers[0].present


def test_an_edit_leaves_optional_words_to_the_user() -> None:
    """Its prompt is an instruction; everyday words are not put into it unasked."""
    world = World(KONTEXT, lora={"prompt": "sketch", "trigger": "optional"})
    assert world.plan(**EDIT).prompt.text == "a rocket"
    assert not world.plan(**EDIT).triggers[0].present
    typed = world.plan(prompt="make it a sketch", **EDIT)
    assert typed.prompt.text == "make it a sketch"
    assert [part.text for part in typed.prompt.parts if part.kind is PartKind.TRIGGER] == [
        "sketch"
    ]
    assert typed.triggers[0].present


def test_an_edit_takes_loras_without_words() -> None:
    plan = World(KONTEXT, lora={"prompt": "", "trigger": "none"}).plan(**EDIT)
    assert (len(plan.loras), plan.triggers) == (1, ())


def test_a_trigger_whose_lora_is_not_chosen_is_refused_as_in_base() -> None:
    other = LoraPreset(
        slug="neon",
        label="Neon",
        base_architecture=architecture_of(KONTEXT),
        path="neon.safetensors",
        prompt="nghtneon",
        trigger="required",
    )
    wrong = World(KONTEXT, loras=(other,)).violations(prompt="add nghtneon", **EDIT)
    assert set(wrong) == {"trigger_forbidden"}
    assert "Neon" in wrong["trigger_forbidden"].way_out


@pytest.mark.parametrize("name", sorted(set(PIPELINES) - set(EDITORS)))
def test_the_others_name_who_can_edit(name: str) -> None:
    wrong = World(name).violations(**EDIT)
    assert set(wrong) == {"mode_not_supported"}
    assert "Reference edit" in wrong["mode_not_supported"].found


@pytest.mark.parametrize("name", ["QwenImageEditPipeline", "QwenImageEditPlusPipeline"])
def test_a_pure_editor_makes_nothing_from_words_alone(name: str) -> None:
    wrong = World(name).violations(mode=Mode.BASE, references=())
    assert set(wrong) == {"mode_not_supported"}
    assert wrong["mode_not_supported"].way_out == "Choose Reference edit."


def test_an_edit_without_a_picture_and_a_picture_without_an_edit() -> None:
    none = World(KONTEXT).violations(mode=Mode.REFERENCE_EDIT)
    assert {code: item.field for code, item in none.items()} == {
        "reference_required": "references"
    }
    stray = World(KONTEXT).violations(mode=Mode.BASE, references=(PICTURE,))
    assert set(stray) == {"reference_forbidden"}


@pytest.mark.parametrize("name", EDITORS)
def test_each_editor_takes_as_many_as_it_takes(name: str) -> None:
    most = PIPELINES[name].max_references
    assert World(name).plan(mode=Mode.REFERENCE_EDIT, references=(PICTURE,) * most)
    wrong = World(name).violations(mode=Mode.REFERENCE_EDIT, references=(PICTURE,) * (most + 1))
    assert set(wrong) == {"too_many_references"}


def test_a_picture_that_is_gone_or_unfit_is_named() -> None:
    gone = ReferenceImage(sha256="0" * 64, width=512, height=512)
    assert set(World(KONTEXT).violations(mode=EDIT["mode"], references=(gone,))) == {
        "reference_missing"
    }
    for width, height, reason in ((63, 64, "less than 64"), (1024, 127, "more than 8 times")):
        odd = PICTURE.model_copy(update={"width": width, "height": height})
        wrong = World(KONTEXT).violations(mode=EDIT["mode"], references=(odd,))
        assert set(wrong) == {"reference_unsuitable"}
        assert reason in wrong["reference_unsuitable"].found
    edge = PICTURE.model_copy(update={"width": 64, "height": 512})
    assert isinstance(World(KONTEXT).resolve(mode=EDIT["mode"], references=(edge,)), RunPlan)


def test_the_order_of_references_matters() -> None:
    two = PICTURE.model_copy(update={"width": 256})
    plans = [
        World("Flux2Pipeline").plan(mode=EDIT["mode"], references=order)
        for order in ((PICTURE, two), (two, PICTURE))
    ]
    assert plans[0].fingerprint != plans[1].fingerprint
