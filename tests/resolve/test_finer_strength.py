"""Strengths apart for text encoders and blocks: as they are typed, resolved and refused."""

import pytest

from studio.architecture import Mode
from studio.contract.origin import Origin
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.presets import Catalog
from studio.presets.schema import LoraSettings
from studio.recall.request import of_plan
from studio.resolve.choices import choose_settings
from studio.resolve.context import Draft
from studio.resolve.inventory import Inventory
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
        ("ink:1:from=2:until=6", "ink", 1.0, "from=2:until=6"),
        ("ink:until=6:te=0", "ink", None, "te=0.0:until=6"),
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
    assert again.model_copy(update={"strength": strength}) == found


@pytest.mark.parametrize(
    "text",
    [
        "ink:from=1.5",
        "ink:until=-1",
        "ink:until=2:until=3",
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
    with pytest.raises(ValueError, match=r"is not|has two"):
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
    assert not {"parts", "first_step"} & set(own.model_dump()["loras"][0])


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
        (":1:from=9", "out_of_range"),
        (":1:from=0", "out_of_range"),
        (":1:from=3:until=2", "out_of_range"),
        (":1:until=201", "out_of_range"),
    ],
)
def test_what_cannot_be_is_named(text: str, code: str) -> None:
    (wrong,) = world().violations(mode="lora", loras=ink(text)).values()
    assert (wrong.code, wrong.field) == (code, "loras.ink.strength")


def test_steps_are_the_users_before_the_presets() -> None:
    made = plan(":until=4", first_step=2, last_step=6)
    (use,) = made.loras
    said = [(each.value, each.origin) for each in (use.first_step, use.last_step) if each]
    assert said == [(2, Origin.LORA), (4, Origin.USER)]
    assert made.step_ranges == ((1, 1), (2, 4), (5, 8))
    assert plan(":until=8").step_ranges == plan(":until=20").step_ranges == ((1, 8),)


def strengths(made: RunPlan) -> object:
    (use,) = made.loras
    apart = {each.part: each.strength.value for each in use.parts if each.modules}
    return use.strength.value, apart, use.span(made.settings.steps.value)


def test_a_plan_asks_for_its_parts_again() -> None:
    own: tuple[dict[str, object], ...] = (
        {}, {"parts": {"in": 0.2}}, {"parts": {"te": 0.4}, "last_step": 3}, {"first_step": 2}
    )  # fmt: skip
    for text in (":0.5", ":te=0.4", ":0.5:in=0", ":0", ":1:until=5"):
        for parts in own:
            made = plan(text, **parts)
            for now in (parts, {"parts": {"mid": 0.3}, "first_step": 3}):
                asked = world(**now)
                catalog = Catalog((), (asked._lora(),))
                again = asked.plan(**dict(of_plan(made, made.seed, catalog)))
                assert strengths(made) == strengths(again), (text, parts, now)


LCM: dict[str, object] = {"steps": 4, "scheduler": "LCMScheduler", "guidance_scale": 1.0}


def test_an_accelerator_brings_its_settings_and_is_named_as_who_said_them() -> None:
    made = plan("", **LCM).settings
    for setting, value in ((made.steps, 4), (made.scheduler, "LCMScheduler")):
        assert (setting.value, setting.origin, setting.slug) == (value, Origin.LORA, "ink")
    assert (made.guidance_scale.value, made.guidance_scale.origin) == (1.0, Origin.LORA)


def test_the_users_own_settings_go_before_an_accelerators() -> None:
    own = Overrides(steps=6, scheduler="Euler")
    made = world(**LCM).plan(mode="lora", settings=own)
    assert (made.settings.steps.value, made.settings.steps.origin) == (6, Origin.USER)
    assert made.settings.scheduler.value == "EulerDiscreteScheduler"
    overridden = [each.field for each in made.notices if each.code == "wish_overridden"]
    assert overridden == ["settings.steps", "settings.scheduler"]


def test_a_mode_without_weights_has_none_of_an_accelerators_settings() -> None:
    made = world(**LCM).plan(mode="base", loras=())
    assert (made.settings.steps.value, made.settings.steps.origin) == (8, Origin.MODEL)


@pytest.mark.parametrize("other", [{"steps": 8}, {"scheduler": "DDIMScheduler"}])
def test_two_accelerators_that_disagree_are_named(other: dict[str, object]) -> None:
    one = world(**LCM)
    wishes = {"slug": "two", "settings": LoraSettings.model_validate(other)}
    two = one._lora().model_copy(update=wishes)
    catalog = Catalog((one._model(),), (one._lora(), two))
    loras = (LoraChoice(slug="ink"), LoraChoice(slug="two"))
    asked = GenerationRequest(base="base", mode=Mode.LORA, prompt="x", seed=1, loras=loras)

    def problems(request: GenerationRequest) -> list[str]:
        model = catalog.models["base"]
        draft = Draft.of(request, model, catalog, Inventory({}, {}), {}, None, "cpu")
        return [each.field for each in choose_settings(draft).problems]

    assert problems(asked) == [f"settings.{name}" for name in other]
    own = Overrides.model_validate(LCM)
    assert problems(asked.model_copy(update={"settings": own})) == []
