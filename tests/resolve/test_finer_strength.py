"""Strengths apart for text encoders and blocks: as they are typed, resolved and refused."""

import pytest

from studio.contract.plan import Origin, RunPlan
from studio.contract.request import LoraChoice
from studio.presets import Catalog
from studio.presets.schema import LoraSettings
from studio.recall.request import of_plan
from tests.support.worlds import World

SD, FLUX = "StableDiffusionPipeline", "FluxPipeline"


def ink(text: str) -> tuple[LoraChoice, ...]:
    return (LoraChoice.parse(f"ink{text}"),)


def world(**settings: object) -> World:
    return World(SD, lora={"settings": LoraSettings.model_validate(settings)})


def plan(text: str, **settings: object) -> RunPlan:
    return world(**settings).plan(mode="lora", loras=ink(text))


@pytest.mark.parametrize(
    ("text", "slug", "strength", "finer"),
    [
        ("ink", "ink", None, ""),
        ("ink:0.8", "ink", 0.8, ""),
        ("ink:0.8:te=0.4", "ink", 0.8, "te=0.4"),
        ("ink:te=-.4:mid=1", "ink", None, "te=-0.4:mid=1.0"),
        ("ink:1:te=1e-07", "ink", 1.0, "te=1e-07"),
        ("odd:name.safetensors", "odd:name.safetensors", None, ""),
        ("odd:name.safetensors:1:te=0", "odd:name.safetensors", 1.0, "te=0.0"),
    ],
)
def test_a_choice_is_read_as_it_is_typed(
    text: str, slug: str, strength: float | None, finer: str
) -> None:
    found = LoraChoice.parse(text)
    assert (found.slug, found.strength, found.finer) == (slug, strength, finer)
    again = LoraChoice.parse(":".join(filter(None, (f"{slug}:1", finer))))
    assert again.parts == found.parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":0.8",
        "ink:",
        "ink:much",
        "ink:nan",
        "ink:1:0.5",
        "ink:te=1:te=2",
        "ink:te=x",
        "ink:te=",
    ],
)
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has two strengths"):
        LoraChoice.parse(text)


def test_the_users_parts_come_before_the_presets() -> None:
    (use,) = plan(":te=0.4", strength=0.7, parts={"te": 0.1, "in": 0.2}).loras
    said = {each.part: (each.strength.value, each.strength.origin) for each in use.parts}
    assert said == {"te": (0.4, Origin.USER), "in": (0.2, Origin.LORA)}
    assert (use.strength.value, use.strength.origin) == (0.7, Origin.LORA)
    assert {each.part: each.modules for each in use.parts} == {"te": 0, "in": 2}


def test_a_plan_without_parts_is_what_it_was() -> None:
    own, other = plan(":0.5"), plan(":0.5:in=0.5")
    assert own.schema_version < other.schema_version == 4
    assert "parts" not in own.model_dump()["loras"][0]


def test_a_lora_that_the_user_sets_to_0_is_off_whatever_its_preset_says_of_parts() -> None:
    off, on = plan(":0", parts={"in": 0.5}), plan(":0:in=0.5")
    assert (off.loras[0].acts, on.loras[0].acts) == (False, True)
    codes = [{notice.code for notice in each.notices} for each in (off, on)]
    assert ["strength_zero" in each for each in codes] == [True, False]


def test_a_part_that_the_file_does_not_change_is_told() -> None:
    assert "part_without_effect" in {each.code for each in plan(":te=0.4").notices}
    assert "part_without_effect" not in {each.code for each in plan(":in=0.4").notices}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (":double=1", "unknown_part"),
        (":in=2.5", "strength_out_of_range"),
        (":1:in=-1", "strength_out_of_range"),
    ],
)
def test_what_cannot_be_is_named(text: str, code: str) -> None:
    (wrong,) = world().violations(mode="lora", loras=ink(text)).values()
    assert (wrong.code, wrong.field) == (code, "loras.ink.strength")


def strengths(made: RunPlan) -> object:
    (use,) = made.loras
    apart = {each.part: each.strength.value for each in use.parts if each.modules}
    return use.strength.value, apart


def test_a_plan_asks_for_its_parts_again() -> None:
    for text in (":0.5", ":te=0.4", ":0.5:in=0", ":0"):
        for parts in ({}, {"in": 0.2}, {"te": 0.4}):
            made = plan(text, parts=parts)
            for now in (parts, {"mid": 0.3}):
                asked = world(parts=now)
                catalog = Catalog((), (asked._lora(),))
                again = asked.plan(**dict(of_plan(made, made.seed, catalog)))
                assert strengths(made) == strengths(again), (text, parts, now)
