"""The form ⇄ the request, and the words for numbers."""

from typing import Any

import pytest

from studio.architecture import Architecture, Mode
from studio.contract.origin import FloatSetting, IntSetting, Origin, Precision
from studio.contract.request import GenerationRequest, LoraChoice, PartStrength
from studio.contract.settings import SETTINGS
from studio.presets import Catalog, LoraPreset, LoraSettings, ModelPreset, Source, TriggerRule
from studio.ui.html import format
from studio.ui.studio import form, hints
from studio.ui.studio.start import FIRST_SEED, Start, first_seed
from tests.support.records import lora_use, plan_settings, run_plan


def lora(slug: str, architecture: Architecture = Architecture.MINI, **more: Any) -> LoraPreset:
    fields: dict[str, Any] = {
        "slug": slug,
        "label": slug.title(),
        "base_architecture": architecture,
        "path": f"{slug}.safetensors",
        "prompt": f"{slug}style",
        "trigger": TriggerRule.REQUIRED,
    }
    return LoraPreset(**(fields | more))


MODELS = (
    ModelPreset(
        slug="mini",
        label="Mini",
        pipeline="StableDiffusionPipeline",
        base_architecture=Architecture.MINI,
        source=Source(embedded="mini/base"),
    ),
)
CATALOG = Catalog(
    MODELS,
    (
        lora("pen-ink-mini", settings=LoraSettings(strength=0.7), theme="illustration"),
        lora("neon", theme="artistic"),
        lora("collage", Architecture.SDXL),
        lora("manga", Architecture.SDXL),
        lora("sketch", Architecture.SD15),
    ),
)
BLANK: dict[str, Any] = {
    "base": "mini",
    "chosen": (),
    "said": (),
    "unused": (),
    "finer": (),
    "strength_0": 1.0,
    "strength_1": 1.0,
    "strength_2": 1.0,
    "strength_3": 1.0,
    **{f"on_{n}": True for n in range(4)},
    **{f"partial_{n}": False for n in range(4)},
    "references": (),
    "mode": "base",
    "prompt": "a rocket",
    "negative_prompt": "",
    **{each.name: None if each.kind.is_number else "" for each in SETTINGS},
    "seed": None,
    "drawn": 41,
    "count": 1,
    "prompt_encoder": "compel",
    "allow_cut": False,
}


def test_blank_fields_are_no_overrides_and_the_seed_is_the_drawn_one() -> None:
    request = form.read(BLANK, CATALOG)
    assert request.settings.model_dump(exclude_none=True) == {}
    assert request.seed == 41
    assert request.mode is Mode.BASE


def test_a_strength_where_the_preset_put_it_is_the_presets() -> None:
    values = {**BLANK, "mode": "lora_with_trigger", "chosen": ("pen-ink-mini", "neon")}
    values |= {"strength_0": 0.7, "strength_1": 0.35, "seed": 7.0, "steps": 12.0}
    request = form.read(values, CATALOG)
    assert request.loras == (
        LoraChoice(slug="pen-ink-mini"),
        LoraChoice(slug="neon", strength=0.35),
    )
    assert request.seed == 7
    assert request.settings.steps == 12


def test_a_lora_that_is_off_takes_no_part_and_keeps_its_strength() -> None:
    values = {**BLANK, "mode": "lora", "chosen": ("pen-ink-mini", "neon")}
    values |= {"strength_0": 0.55, "strength_1": 0.35, "on_0": False}
    assert form.read(values, CATALOG).loras == (LoraChoice(slug="neon", strength=0.35),)
    moved = form.with_loras(values, ("neon", "pen-ink-mini"), (0.35, 0.55))
    assert (moved["on_0"], moved["on_1"], moved["strength_1"]) == (True, False, 0.55)
    assert form.with_loras(values, ("neon",), (0.35,))["on_0"]


def test_the_base_mode_sets_chosen_loras_aside() -> None:
    request = form.read({**BLANK, "chosen": ("neon",)}, CATALOG)
    assert request.loras == ()


def test_what_is_written_reads_back_as_the_same_request() -> None:
    settings = plan_settings().model_copy(
        update={
            "steps": IntSetting(value=12, origin=Origin.USER),
            "guidance_scale": FloatSetting(value=2.5, origin=Origin.USER),
            "precision": Precision(value="bfloat16", origin=Origin.USER, reason="You chose it."),
        }
    )
    use = lora_use("neon", strength=0.35)
    plan = run_plan(
        prompt="a cat", negative="red", loras=(use,), settings=settings, mode=Mode.LORA
    )
    request = form.read(form.write(plan, 99, CATALOG), CATALOG)
    assert request.base == "mini"
    assert request.mode is Mode.LORA
    assert (request.prompt, request.negative_prompt) == ("a cat", "red")
    assert request.loras == (LoraChoice(slug="neon", strength=0.35),)
    said = {"steps": 12, "guidance_scale": 2.5, "precision": "bfloat16"}
    assert request.settings.model_dump(exclude_none=True) == said
    assert request.seed == 99
    assert request.prompt_encoder is None  # Compel, which a base has that can have it


def test_a_strength_that_the_user_said_stays_said_where_it_equals_the_presets() -> None:
    use = lora_use("pen-ink-mini", strength=0.7)
    said = use.model_copy(update={"strength": FloatSetting(value=0.7, origin=Origin.USER)})
    for each, strength in ((use, None), (said, 0.7)):
        values = form.write(run_plan(loras=(each,), mode=Mode.LORA), 1, CATALOG)
        request = form.read(values, CATALOG)
        assert request.loras == (LoraChoice(slug="pen-ink-mini", strength=strength),)
    assert form.with_loras(values, (), ())["said"] == ()


def test_finer_strengths_go_into_the_form_and_come_back() -> None:
    parts = (PartStrength(part="te", strength=0.25), PartStrength(part="mid", strength=0.0))
    choices = (
        LoraChoice(slug="neon", strength=0.35, parts=parts),
        LoraChoice(slug="pen-ink-mini"),
    )
    asked = GenerationRequest(base="mini", mode=Mode.LORA, prompt="x", seed=1, loras=choices)
    values = form.write_request(asked, CATALOG)
    assert values["finer"] == ("neon te=0.25:mid=0.0",)
    assert form.read(values, CATALOG).loras == choices
    assert form.with_loras(values, ("pen-ink-mini",), (0.7,))["finer"] == ()


def test_a_trigger_only_plan_gets_its_loras_back() -> None:
    plan = run_plan(loras=(lora_use("neon"),)).model_copy(
        update={"loras": (), "mode": Mode.TRIGGER_ONLY}
    )
    assert form.write(plan, 1, CATALOG)["chosen"] == ("neon",)


def test_a_newcomer_finds_a_filled_request() -> None:
    start = Start.of(CATALOG)
    assert start.base == "mini"
    assert start.chosen == ("pen-ink-mini",)
    assert start.mode is Mode.LORA_WITH_TRIGGER
    assert start.prompt == "a penguin on a blue background"


def test_without_presets_the_page_still_stands() -> None:
    assert Start.of(Catalog((), ())).base is None
    assert Start.of(Catalog(MODELS, ())).mode is Mode.BASE


@pytest.mark.parametrize(
    ("strength", "name"),
    [
        (0.0, "off"),
        (0.25, "faint"),
        (0.3, "subtle"),
        (0.5, "subtle"),
        (0.55, "subtle to balanced"),
        (0.6, "balanced"),
        (0.8, "balanced"),
        (0.85, "balanced to strong"),
        (0.9, "strong"),
        (1.2, "strong"),
        (1.25, "very strong, may show artefacts"),
        (2.0, "very strong, may show artefacts"),
    ],
)
def test_strength_bands(strength: float, name: str) -> None:
    assert format.band(strength) == name


def test_numbers() -> None:
    assert format.number(3) == "3.0"
    assert format.number(2.75) == "2.75"
    assert format.strength(0.7) == "0.70"
    assert format.strength(0.125) == "0.125"
    assert format.percent(0.124) == "12 %"
    assert format.percent(0.0123) == "1.2 %"


@pytest.mark.parametrize(
    ("before", "thing", "after"),
    [
        ("a penguin on a blue background", "owl", "an owl on a blue background"),
        ("Penguin on blue", "cherries", "cherries on blue"),
        ("an owl, phrsink", "cactus", "a cactus, phrsink"),
        ("a cat on a chair, ", "penguin", "a cat on a chair, a penguin"),
        ("a penguinish thing", "owl", "a penguinish thing, an owl"),
        (" ", "owl", "an owl"),
        ("a cat on an orange background", "orange", "a cat on an orange background, an orange"),
        ("an orange on red", "on orange", "an orange on an orange background"),
        ("a penguin", "on red", "a penguin on a red background"),
        ("an owl, phrsink", "on red", "an owl on a red background, phrsink"),
        ("owl, red background, phrsink", "on orange", "owl, orange background, phrsink"),
        ("a red penguin", "on blue", "a red penguin"),
        ("", "on red", "on a red background"),
    ],
)
def test_a_thing_takes_the_place_of_the_one_before(before: str, thing: str, after: str) -> None:
    knows = ("penguin", "owl", "cactus", "cherries", "orange")
    known = {"knows": knows, "backgrounds": ("red", "orange")}
    knowing = MODELS[0].model_copy(update=known)
    assert hints.with_picked(before, thing, knowing) == after


def test_the_first_picture_of_the_embedded_base_is_the_chosen_one() -> None:
    assert first_seed("mini") == FIRST_SEED
    assert len({first_seed(None) for _ in range(3)}) == 3


def test_only_a_base_that_knows_few_things_lists_them() -> None:
    assert hints.things(None) == hints.things(MODELS[0]) == ""
    known = {"knows": ("fox", "<b>"), "backgrounds": ("red",)}
    shown = hints.things(MODELS[0].model_copy(update=known))
    assert shown.count("data-pick") == 3
    assert "<b>" not in shown
