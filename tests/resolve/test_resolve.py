"""Resolving: the plan says exactly what will happen, or everything that is wrong is named."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.architecture import TRAITS, Architecture, Mode
from studio.contract.base import FileIdentity
from studio.contract.origin import Origin
from studio.contract.plan import Library, RunPlan
from studio.contract.prompt import TokenCounter
from studio.contract.request import GenerationRequest, LoraChoice, Overrides, PromptEncoder
from studio.contract.violations import Violation
from studio.presets import Catalog, LoraPreset, LoraSettings, ModelPreset, ModelSettings
from studio.recall.request import of_plan
from studio.resolve import Runtime, resolve
from studio.resolve.inventory import BaseWeights, Inventory, Unusable
from tests.support.world import BASE_SHAPES, lora_weights

MINI = ModelPreset(
    slug="mini",
    label="Mini",
    path="mini",
    pipeline="StableDiffusionPipeline",
    base_architecture=Architecture.MINI,
    settings=ModelSettings(
        steps=20,
        guidance_scale=3.0,
        default_width=128,
        default_height=128,
        max_pixels=65536,
        dtype="float32",
        supports_negative_prompt=True,
        scheduler="DDIMScheduler",
    ),
)
INK = LoraPreset(
    slug="ink",
    label="Ink",
    base_architecture=Architecture.MINI,
    path="ink.safetensors",
    prompt="phrsink, pen and ink illustration",
    negative_prompt="blurry, colour",
    settings=LoraSettings(strength=0.7, guidance_scale=4.0, clip_skip=2),
    trigger="required",
)
NEON = LoraPreset(
    slug="neon",
    label="Neon",
    base_architecture=Architecture.MINI,
    path="neon.safetensors",
    prompt="nghtneon",
    settings=LoraSettings(guidance_scale=5.0),
    trigger="optional",
)
PLAIN = LoraPreset(
    slug="plain",
    label="Plain",
    base_architecture=Architecture.MINI,
    path="plain.safetensors",
    trigger="none",
)
SDXL_LORA = LoraPreset(
    slug="collage",
    label="Collage",
    base_architecture=Architecture.SDXL,
    path="collage.safetensors",
    prompt="ff-collage",
    trigger="required",
)
SDXL = MINI.model_copy(
    update={"slug": "xl", "label": "XL", "base_architecture": Architecture.SDXL}
)
CATALOG = Catalog((MINI, SDXL), (INK, NEON, PLAIN, SDXL_LORA))
HASH = {slug: f"{number:064x}" for number, slug in enumerate(("ink", "neon", "plain"), start=1)}


def spans(text: str) -> list[tuple[int, int]]:
    """One token a word or mark."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


words = TokenCounter(spans, around=2)
"""A token counter with a start and an end token."""


def inventory(tmp: Any = None) -> Inventory:
    base = BaseWeights(
        path=tmp, files=(FileIdentity(name="unet/x", sha256="a" * 64, size=1),), shapes=BASE_SHAPES
    )
    loras = {slug: lora_weights(sha256=value) for slug, value in HASH.items()}
    expected = {slug: Path(f"/models/{slug}") for slug in (*CATALOG.models, *CATALOG.loras)}
    return Inventory(bases={"mini": base}, loras=loras, expected_at=expected)


RUNTIME = Runtime(
    libraries=(Library(name="diffusers", version="0.42.1"),),
    counters={"mini": {"text_encoder": words}},
)


def ask(**changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "base": "mini",
        "mode": Mode.BASE,
        "prompt": "a rocket on a blue background",
        "seed": 7,
    }
    return GenerationRequest(**(values | changes))


def with_loras(
    *slugs: str, mode: Mode = Mode.LORA_WITH_TRIGGER, **changes: Any
) -> GenerationRequest:
    loras = tuple(LoraChoice(slug=slug) for slug in slugs)
    return ask(mode=mode, loras=loras, **changes)


def plan_of(request: GenerationRequest, there: Inventory | None = None) -> RunPlan:
    plan = resolve(request, CATALOG, there or inventory(), RUNTIME)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    return plan


def codes(request: GenerationRequest, there: Inventory | None = None) -> dict[str, str]:
    found = resolve(request, CATALOG, there or inventory(), RUNTIME)
    assert not isinstance(found, RunPlan)
    return {item.code: item.field for item in found}


def only(request: GenerationRequest, there: Inventory | None = None) -> Violation:
    found = resolve(request, CATALOG, there or inventory(), RUNTIME)
    assert not isinstance(found, RunPlan)
    assert len(found) == 1, [item.describe() for item in found]
    return found[0]


def test_a_base_plan_says_everything() -> None:
    plan = plan_of(ask())
    assert plan.mode is Mode.BASE
    assert plan.loras == ()
    assert plan.prompt.text == "a rocket on a blue background"
    assert (plan.settings.steps.value, plan.settings.steps.origin) == (20, Origin.MODEL)
    assert plan.settings.clip_skip is not None
    assert plan.settings.clip_skip.origin is Origin.CONVENTION
    assert plan.base.files[0].sha256 == "a" * 64
    assert plan.libraries == RUNTIME.libraries


def test_the_lora_brings_triggers_negatives_and_settings() -> None:
    plan = plan_of(with_loras("ink", negative_prompt="text"))
    assert plan.prompt.text == "a rocket on a blue background, phrsink, pen and ink illustration"
    assert plan.prompt.negative_text == "text, blurry, colour"
    assert plan.prompt.typed == "a rocket on a blue background"
    use = plan.loras[0]
    assert (use.strength.value, use.strength.origin) == (0.7, Origin.LORA)
    assert use.modules == {"unet": 2}
    guidance = plan.settings.guidance_scale
    assert (guidance.value, guidance.origin, guidance.slug) == (4.0, Origin.LORA, "ink")
    assert plan.settings.clip_skip is not None
    assert plan.settings.clip_skip.value == 2


def test_the_users_value_wins_and_the_wish_is_named() -> None:
    plan = plan_of(with_loras("ink", settings=Overrides(guidance_scale=2.0)))
    assert plan.settings.guidance_scale.origin is Origin.USER
    assert "wish_overridden" in {notice.code for notice in plan.notices}


def test_equal_requests_give_equal_fingerprints_and_order_does_not_matter() -> None:
    settings = Overrides(guidance_scale=3.0)
    one = plan_of(with_loras("ink", "plain", settings=settings))
    other = plan_of(with_loras("plain", "ink", settings=settings))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint == RunPlan.model_validate_json(one.model_dump_json()).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"prompt": "a rocket on a red background"},
        {"settings": Overrides(steps=21)},
        {"negative_prompt": "text"},
        {"prompt_encoder": PromptEncoder.NATIVE},
        {"count": 2},
    ],
)
def test_any_change_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert plan_of(ask(**change)).fingerprint != plan_of(ask()).fingerprint


def test_everything_wrong_is_found_at_once() -> None:
    request = ask(
        mode=Mode.LORA_WITH_TRIGGER,
        prompt=" ",
        negative_prompt="<lora:x:1>",
        loras=(
            LoraChoice(slug="collage", strength=2.5),
            LoraChoice(slug="inkk"),
            LoraChoice(slug="inkk"),
        ),
        settings=Overrides(steps=0, width=130, height=4096, clip_skip=9, scheduler="Nope"),
        seed=-1,
        count=0,
    )
    found = codes(request)
    assert {
        "prompt_empty": "prompt",
        "lora_tag_in_prompt": "negative_prompt",
        "duplicate_lora": "loras.inkk",
        "unknown_lora": "loras.inkk",
        "architecture_mismatch": "loras.collage",
        "weights_missing": "loras.collage",
        "not_a_multiple": "settings.width",
        "too_many_pixels": "settings.width",
        "unknown_scheduler": "settings.scheduler",
    }.items() <= found.items()
    refused = resolve(request, CATALOG, inventory(), RUNTIME)
    assert not isinstance(refused, RunPlan)
    fields = {
        item.field for item in refused if item.code in ("out_of_range", "strength_out_of_range")
    }
    assert fields == {
        "seed",
        "count",
        "settings.steps",
        "settings.clip_skip",
        "loras.collage.strength",
    }


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_text_that_cannot_be_written_down_is_named(field: str) -> None:
    violation = only(ask(**{field: "a rocket \ud800"}))
    assert (violation.code, violation.field) == ("text_unreadable", field)
    assert "place 10" in violation.found


def test_a_pin_or_any_other_notice_leaves_the_fingerprint_alone() -> None:
    first = plan_of(with_loras("ink"))
    later = plan_of(with_loras("ink"), replace(inventory(), pins={"ink": HASH["ink"]}))
    assert first.notices != later.notices
    assert first.fingerprint == later.fingerprint


def test_minus_zero_is_zero() -> None:
    zero = plan_of(ask(settings=Overrides(guidance_scale=0.0)))
    assert plan_of(ask(settings=Overrides(guidance_scale=-0.0))).fingerprint == zero.fingerprint


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ('("a rocket", "a cat").and(), phrsink, pen and ink illustration', "call_not_whole"),
        ('sky, ("a rocket, phrsink, pen and ink illustration", "b").and()', "call_not_whole"),
        ('("phrsink, pen and ink illustration", "b").blend(1)', "call_not_whole"),
        ("a rocket, (phrsink)0, pen and ink illustration", "trigger_missing"),
    ],
)
def test_words_that_compel_would_drop_are_no_plan(prompt: str, code: str) -> None:
    assert codes(with_loras("ink", prompt=prompt)) == {code: "prompt"}


def test_a_whole_call_with_the_triggers_inside_is_a_plan() -> None:
    prompt = '("a rocket, phrsink, pen and ink illustration", "a cat").blend(0.7, 0.3)'
    request = with_loras("ink", prompt=prompt, prompt_encoder=PromptEncoder.COMPEL)
    found = (
        codes(request)
        if not isinstance(resolve(request, CATALOG, inventory(), RUNTIME), RunPlan)
        else {}
    )
    assert found == {}


def test_a_negative_call_has_no_place_for_the_loras_terms() -> None:
    request = with_loras("ink", negative_prompt='("blur", "text").and()')
    assert codes(request) == {"call_not_whole": "negative_prompt"}


def test_optional_triggers_are_everyday_words() -> None:
    settings = Overrides(guidance_scale=3.0)
    alone = with_loras("neon", mode=Mode.LORA, prompt="a nghtneon sign", settings=settings)
    assert isinstance(plan_of(alone), RunPlan)
    twice = with_loras("neon", prompt="nghtneon, nghtneon", settings=settings)
    assert isinstance(plan_of(twice), RunPlan)


def test_one_file_under_two_names_counts_once() -> None:
    there = inventory()
    twins = {**there.loras, "plain": lora_weights(HASH["ink"])}
    violation = only(with_loras("ink", "plain"), replace(there, loras=twins))
    assert (violation.code, violation.field) == ("same_weights", "loras.plain")


def test_a_book_is_refused_before_anything_else_is_looked_at() -> None:
    violation = only(ask(prompt="phrsink " * 3000))
    assert (violation.code, violation.field) == ("text_too_large", "prompt")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"settings": Overrides(steps=10**400)}, "settings.steps"),
        ({"settings": Overrides(width=-50)}, "settings.width"),
        ({"settings": Overrides(width=10)}, "settings.width"),
        ({"count": 5_000_000_000}, "count"),
        ({"settings": Overrides(steps=60, scheduler="LCMScheduler")}, "settings.steps"),
    ],
)
def test_absurd_numbers_are_out_of_range_and_nothing_more(
    change: dict[str, Any], field: str
) -> None:
    assert codes(ask(**change)) == {"out_of_range": field}


def test_unknown_base_names_those_there_are() -> None:
    violation = only(ask(base="minni"))
    assert (violation.code, violation.field) == ("unknown_base", "base")
    assert "mini" in violation.way_out


def test_a_lora_for_another_architecture_shows_both() -> None:
    found = resolve(with_loras("collage"), CATALOG, inventory(), RUNTIME)
    assert not isinstance(found, RunPlan)
    mismatch = next(item for item in found if item.code == "architecture_mismatch")
    assert "SDXL" in mismatch.found
    assert "Mini" in mismatch.found


def test_a_file_that_does_not_fit_is_refused_with_both_widths() -> None:
    there = inventory()
    wrong = replace(there, loras={**there.loras, "ink": lora_weights(HASH["ink"], width=768)})
    violation = only(with_loras("ink"), wrong)
    assert (violation.code, violation.field) == ("lora_does_not_fit", "loras.ink")
    assert "768" in violation.found
    assert "128" in violation.found


@pytest.mark.parametrize("slug", ["mini", "ink"])
def test_missing_weights_say_where_they_belong(slug: str) -> None:
    there = inventory()
    bases = {key: value for key, value in there.bases.items() if key != slug}
    loras = {key: value for key, value in there.loras.items() if key != slug}
    violation = only(with_loras("ink"), replace(there, bases=bases, loras=loras))
    assert violation.code == "weights_missing"
    assert f"/models/{slug}" in violation.found


def test_unreadable_weights_say_why() -> None:
    there = inventory()
    broken = Unusable(
        path=there.bases["mini"].path, reason="truncated.", way_out="Fetch it again."
    )
    loras = {key: value for key, value in there.loras.items() if key != "ink"}
    violation = only(with_loras("ink"), replace(there, loras=loras, unusable={"ink": broken}))
    assert violation.code == "weights_unusable"
    assert violation.way_out == "Fetch it again."


def test_a_hash_that_changed_since_it_was_pinned_is_refused() -> None:
    there = replace(inventory(), pins={"ink": "f" * 64})
    violation = only(with_loras("ink"), there)
    assert violation.code == "hash_mismatch"
    assert "studio presets repin ink" in violation.way_out


def test_an_unpinned_lora_is_a_notice() -> None:
    assert "pin_on_first_use" in {notice.code for notice in plan_of(with_loras("ink")).notices}
    base_sha256 = plan_of(ask()).base.sha256
    pinned = replace(inventory(), pins={"ink": HASH["ink"], "mini": base_sha256})
    notices = plan_of(with_loras("ink"), pinned).notices
    assert "pin_on_first_use" not in {notice.code for notice in notices}


def test_base_mode_takes_no_lora() -> None:
    assert codes(with_loras("ink", mode=Mode.BASE)) == {"lora_forbidden": "loras"}


@pytest.mark.parametrize("mode", [Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY])
def test_the_other_modes_need_one(mode: Mode) -> None:
    assert codes(ask(mode=mode)) == {"lora_required": "loras"}


@pytest.mark.parametrize("words", ["phrsink", "PHRSINK++", "a pen  and ink illustration"])
def test_a_required_trigger_is_forbidden_in_a_base_prompt(words: str) -> None:
    assert codes(ask(prompt=f"a rocket, {words}")) == {"trigger_forbidden": "prompt"}


@pytest.mark.parametrize("words", ["nghtneon", "ff-collage", "phrsinker"])
def test_optional_and_foreign_words_are_fine_in_a_base_prompt(words: str) -> None:
    assert words in plan_of(ask(prompt=f"a rocket, {words}")).prompt.text


def test_mode_lora_forbids_its_triggers_and_says_they_are_left_out() -> None:
    assert codes(with_loras("ink", mode=Mode.LORA, prompt="a phrsink rocket")) == {
        "trigger_forbidden": "prompt"
    }
    notices = plan_of(with_loras("ink", mode=Mode.LORA)).notices
    assert "trigger_left_out" in {notice.code for notice in notices}


@pytest.mark.parametrize(
    ("mode", "prompt", "code"),
    [
        (Mode.LORA, "a phrsink rocket", "trigger_forbidden"),
        (Mode.LORA_WITH_TRIGGER, "phrsink rocket, PhrSink", "trigger_duplicated"),
    ],
)
def test_a_word_that_one_lora_requires_is_required_however_another_spells_it(
    mode: Mode, prompt: str, code: str
) -> None:
    optional = INK.model_copy(
        update={"slug": "airy", "label": "Airy", "prompt": "PhrSink", "trigger": "optional"}
    )
    required = INK.model_copy(update={"prompt": "phrsink"})
    there = inventory()
    there = replace(there, loras={**there.loras, "airy": lora_weights(sha256="9" * 64)})
    request = with_loras("airy", "ink", mode=mode, prompt=prompt)
    found = resolve(request, Catalog((MINI,), (required, optional)), there, RUNTIME)
    assert not isinstance(found, RunPlan)
    (violation,) = found
    assert violation.code == code
    assert violation.model_dump()["slug"] == "ink"


@pytest.mark.parametrize("trigger", ["required", "optional"])
@pytest.mark.parametrize(
    ("typed", "resolved", "words"),
    [
        ("a rocket", "a rocket, doomslayer", ("doomslayer",)),
        ("a Doomgirl", "a Doomgirl", ("doomgirl",)),
        ("doomgirl and doomslayer", "doomgirl and doomslayer", ("doomslayer", "doomgirl")),
    ],
)
def test_of_alternative_triggers_the_typed_one_is_used(
    trigger: str, typed: str, resolved: str, words: tuple[str, ...]
) -> None:
    said = {"prompt": "doomslayer, doomgirl", "trigger": trigger, "alternatives": True}
    catalog = Catalog((MINI,), (INK.model_copy(update=said),))
    plan = resolve(with_loras("ink", prompt=typed), catalog, inventory(), RUNTIME)
    assert isinstance(plan, RunPlan)
    assert plan.prompt.text == resolved
    assert [(use.words, use.present) for use in plan.triggers] == [(words, True)]


def test_the_chosen_trigger_phrases_are_used_and_no_others() -> None:
    both = INK.model_copy(update={"prompt": "phrsink, pen and ink"})
    catalog = Catalog((MINI,), (both,))

    def asked(phrases: tuple[str, ...] | None) -> RunPlan | tuple[Violation, ...]:
        choice = LoraChoice(slug="ink", phrases=phrases)
        request = ask(mode=Mode.LORA_WITH_TRIGGER, loras=(choice,), prompt="a rocket")
        return resolve(request, catalog, inventory(), RUNTIME)

    plan = asked(("pen and ink",))
    assert isinstance(plan, RunPlan)
    assert (plan.prompt.text, plan.triggers[0].words) == (
        "a rocket, pen and ink",
        ("pen and ink",),
    )
    assert of_plan(plan, 1, catalog).loras[0].phrases == ("pen and ink",)
    whole = asked(None)
    assert isinstance(whole, RunPlan)
    assert of_plan(whole, 1, catalog).loras[0].phrases is None
    for phrases in ((), ("pen and ink", "charcoal")):
        refused = asked(phrases)
        assert isinstance(refused, tuple)
        assert [(each.code, each.field) for each in refused] == [("phrases_refused", "loras.ink")]


def test_a_file_that_says_no_alpha_is_named() -> None:
    notices = {notice.code: notice for notice in plan_of(with_loras("ink")).notices}
    assert notices["alpha_unsaid"].field == "loras.ink"
    assert "says no alpha for 2 layers; the scale is taken as 1." in notices["alpha_unsaid"].text
    assert "alpha_unsaid" not in {notice.code for notice in plan_of(ask()).notices}


def test_a_trigger_typed_twice_is_a_violation() -> None:
    request = with_loras("ink", prompt="phrsink rocket, phrsink")
    assert codes(request) == {"trigger_duplicated": "prompt"}


def test_trigger_mode_needs_trigger_words() -> None:
    assert codes(with_loras("plain")) == {"no_trigger_words": "mode"}


def test_trigger_only_uses_the_words_and_not_the_weights() -> None:
    there = replace(inventory(), loras={})
    plan = plan_of(with_loras("ink", mode=Mode.TRIGGER_ONLY), there)
    assert plan.loras == ()
    assert "phrsink" in plan.prompt.text
    assert plan.triggers[0].present
    assert plan.settings.guidance_scale.origin is Origin.MODEL


def test_triggers_cannot_be_appended_to_a_blend() -> None:
    prompt = '("a rocket", "a castle").blend(0.5, 0.5)'
    assert codes(with_loras("ink", prompt=prompt)) == {"trigger_missing": "prompt"}


def test_reference_edit_is_not_for_mini() -> None:
    assert codes(ask(mode=Mode.REFERENCE_EDIT)) == {"mode_not_supported": "mode"}


def test_the_scheduler_is_the_bases_own_where_the_preset_names_none() -> None:
    bare = MINI.model_copy(
        update={"settings": MINI.settings.model_copy(update={"scheduler": None, "dtype": None})}
    )
    there = inventory()
    base = replace(there.bases["mini"], classes={"scheduler": "PNDMScheduler"})
    catalog = Catalog((bare,), ())
    plan = resolve(ask(), catalog, replace(there, bases={"mini": base}), RUNTIME)
    assert isinstance(plan, RunPlan)
    assert (plan.settings.scheduler.value, plan.settings.scheduler.origin) == (
        "PNDMScheduler",
        Origin.MODEL,
    )
    assert plan.settings.precision is not None
    assert (plan.settings.dtype, plan.settings.precision.origin) == ("float32", Origin.AUTOMATIC)
    silent = resolve(ask(), catalog, there, RUNTIME)
    assert not isinstance(silent, RunPlan)
    assert [item.code for item in silent] == ["setting_missing"]
    absent = resolve(ask(), catalog, replace(there, bases={}), RUNTIME)
    assert not isinstance(absent, RunPlan)
    assert [item.code for item in absent] == ["weights_missing"]


def test_two_loras_that_disagree_ask_the_user() -> None:
    assert codes(with_loras("ink", "neon")) == {"setting_conflict": "settings.guidance_scale"}
    plan = plan_of(with_loras("ink", "neon", settings=Overrides(guidance_scale=3.0)))
    assert plan.settings.guidance_scale.value == 3.0


def test_an_architecture_the_engine_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every family this release knows may be runnable; a new one is catalogued first."""
    catalogued = replace(TRAITS[Architecture.SDXL], runnable=False)
    monkeypatch.setitem(TRAITS, Architecture.SDXL, catalogued)
    found = codes(ask(base="xl"))
    assert found["architecture_not_runnable"] == "base"


@pytest.mark.parametrize(
    ("field", "value"),
    [("guidance_scale", -0.1), ("guidance_scale", float("nan")), ("steps", 201), ("clip_skip", 0)],
)
def test_out_of_range_settings(field: str, value: float) -> None:
    try:
        request = ask(settings=Overrides(**{field: value}))
    except ValueError:
        assert value != value, "only NaN is refused by the request itself"
        return
    assert codes(request) == {"out_of_range": f"settings.{field}"}


LONG = " ".join(f"word{number}" for number in range(80))


def test_native_refuses_to_cut_without_consent_and_names_the_words() -> None:
    request = with_loras("ink", prompt=LONG, prompt_encoder=PromptEncoder.NATIVE)
    violation = only(request)
    assert (violation.code, violation.field) == ("prompt_too_long", "prompt")
    assert "word79" in violation.found
    assert "word0 " not in violation.found


def test_native_cuts_the_users_words_with_consent_and_keeps_the_triggers() -> None:
    request = with_loras("ink", prompt=LONG, prompt_encoder=PromptEncoder.NATIVE, allow_cut=True)
    plan = plan_of(request)
    assert plan.prompt.text.endswith(", phrsink, pen and ink illustration")
    ledger = plan.prompt.ledger[0]
    assert (ledger.used, ledger.limit, ledger.cut) == (75, 75, 12)
    assert "words_cut" in {notice.code for notice in plan.notices}
    assert next(part.text for part in plan.prompt.parts if part.cut).strip().startswith("word")


def test_compel_has_no_limit() -> None:
    plan = plan_of(with_loras("ink", prompt=LONG))
    ledger = plan.prompt.ledger[0]
    assert (ledger.used, ledger.limit, ledger.cut) == (87, None, 0)


def test_weights_that_would_be_plain_words_are_named() -> None:
    plan = plan_of(ask(prompt="a (red rocket:1.3)"))
    assert "(red rocket)1.3" in plan.notices[-1].text
    native = plan_of(ask(prompt="a rocket++", prompt_encoder=PromptEncoder.NATIVE))
    assert native.notices[-1].code == "weight_as_text"


def test_violations_say_what_was_found_expected_and_the_way_out() -> None:
    request = with_loras("collage", mode=Mode.BASE, prompt="phrsink", settings=Overrides(width=1))
    found = resolve(request, CATALOG, inventory(), RUNTIME)
    assert not isinstance(found, RunPlan)
    for item in found:
        data = item.model_dump(mode="json")
        assert data["found"].endswith(".")
        assert data["way_out"].endswith(".")
        assert data["expected"]
        assert data["code"] == item.code


def words_unknown(prompt: str, **more: Any) -> list[str]:
    knowing = MINI.model_copy(
        update={"knows": ("fox", "hot dog"), "backgrounds": ("red",), "reads": ("icon",), **more}
    )
    catalog = Catalog((knowing,), tuple(CATALOG.loras.values()))
    request = with_loras("ink").model_copy(update={"prompt": prompt})
    plan = resolve(request, catalog, inventory(), RUNTIME)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    return [notice.text for notice in plan.notices if notice.code == "words_unknown"]


def test_a_base_that_knows_few_things_says_which_words_are_not_among_them() -> None:
    assert words_unknown(f"a Fox on a red hot dog, {CATALOG.loras['ink'].prompt}") == []
    assert words_unknown("An icon of the fox with some red in it") == []
    (text,) = words_unknown("a cat on a chair")
    assert "2 things" in text
    assert re.findall("“(.*?)”", text) == ["cat", "chair"]
    (text,) = words_unknown("one two three four five six seven")
    assert re.findall("“(.*?)”", text) == ["one", "two", "three", "four", "five"]
    assert "2 more" in text


def test_of_a_base_that_says_nothing_every_word_may_mean_something() -> None:
    assert words_unknown("a cat on a chair", knows=()) == []
