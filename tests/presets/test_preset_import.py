"""Importing the guide's presets.json: what changes, why, and that nothing is lost."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.presets import LoraPreset, TriggerRule
from studio.presets.convert import Conversion, convert
from studio.presets.parse import ParsedPresets, parse

PEN_INK = {
    "label": "Pen & Ink Illustration",
    "base_architecture": "zimage",
    "theme": "illustration",
    "air": "urn:air:zimageturbo:lora:civitai:2344335@2636956",
    "prompt": "phrsink, pen and ink illustration",
    "negative_prompt": "blurry ugly bad",
    "settings": {"strength": 0.7, "guidance_scale": 1.0, "clip_skip": 2},
    "notes": "Works best with simple compositions",
}
KLEIN = {
    "slug": "flux2_klein",
    "label": "Flux 2 Klein",
    "path": "black-forest-labs/FLUX.2-klein-4B",
    "pipeline": "FluxPipeline",
    "base_architecture": "flux1",
    "settings": {"steps": 4},
}


def imported(**parts: Any) -> tuple[Conversion, ParsedPresets]:
    result = convert(json.dumps(parts), "presets.json", "mine.yaml")
    return result, parse(result.text, "mine.yaml")


def fields(result: Conversion) -> list[str]:
    return [change.field for change in result.changes]


def only_lora(**changed: Any) -> tuple[Conversion, LoraPreset]:
    result, parsed = imported(loras=[PEN_INK | changed])
    assert result.problems == ()
    (preset,) = parsed.loras
    return result, preset


def test_the_guides_lora_gets_a_slug_and_a_trigger_rule_and_says_so() -> None:
    result, preset = only_lora()
    assert fields(result) == ["slug", "trigger"]
    assert (preset.slug, preset.trigger) == ("pen-ink-illustration", TriggerRule.REQUIRED)
    assert all(change.entry == "loras[0] ('Pen & Ink Illustration')" for change in result.changes)
    kept = preset.model_dump(mode="json", exclude_unset=True)
    assert {key: kept[key] for key in PEN_INK} == PEN_INK


def test_no_trigger_words_no_trigger() -> None:
    _, preset = only_lora(prompt="")
    assert preset.trigger is TriggerRule.NONE


def test_flux2_klein_leaves_flux1() -> None:
    result, parsed = imported(models=[KLEIN])
    (model,) = parsed.models
    assert (model.base_architecture, model.pipeline) == ("flux2", "Flux2KleinPipeline")
    assert model.path == KLEIN["path"]
    assert model.source is not None
    assert model.source.huggingface == KLEIN["path"]
    assert fields(result) == ["base_architecture", "pipeline", "source"]
    assert "FLUX.1's LoRAs do not fit" in result.changes[0].reason


def test_as_it_is_klein_is_a_problem_that_names_the_way_out() -> None:
    (problem,) = parse(json.dumps({"models": [KLEIN]}), "presets.json").problems
    assert "studio presets import" in problem.way_out


@pytest.mark.parametrize(
    ("said", "air", "meant"),
    [
        ("sdxl", "urn:air:zimageturbo:lora:civitai:880102@2463976", "zimage"),
        ("flux1", "urn:air:flux2:lora:civitai:1@2", "flux2"),
        ("sdxl", "urn:air:sd1:lora:civitai:1@2", "sd15"),
    ],
)
def test_the_air_is_followed(said: str, air: str, meant: str) -> None:
    result, preset = only_lora(base_architecture=said, air=air)
    assert preset.base_architecture == meant
    assert "AIR" in result.changes[0].reason


def test_a_flux2_lora_is_known_by_its_name_without_an_air() -> None:
    changed = {"label": "FLUX.2 Ink", "base_architecture": "flux1", "path": "ink.safetensors"}
    _, preset = only_lora(air="", **changed)
    assert preset.base_architecture == "flux2"


@pytest.mark.parametrize(
    ("said", "meant"), [("sd1", "sd15"), ("SDXL", "sdxl"), ("z-image", "zimage")]
)
def test_other_words_for_architectures(said: str, meant: str) -> None:
    result, preset = only_lora(base_architecture=said, air=None, path="ink.safetensors")
    assert preset.base_architecture == meant
    assert "base_architecture" in fields(result)


def test_slugs_are_unique_and_given_ones_stay() -> None:
    second = PEN_INK | {"slug": "pen-ink-illustration-2"}
    result, parsed = imported(loras=[PEN_INK, PEN_INK, second])
    assert result.problems == ()
    assert [preset.slug for preset in parsed.loras] == [
        "pen-ink-illustration",
        "pen-ink-illustration-3",
        "pen-ink-illustration-2",
    ]


def test_an_automatic_pipeline_is_named() -> None:
    model = KLEIN | {"label": "Turbo", "path": "a/b", "slug": "turbo"}
    model |= {"pipeline": "AutoPipelineForText2Image", "base_architecture": "sdxl"}
    result, parsed = imported(models=[model])
    assert parsed.models[0].pipeline == "StableDiffusionXLPipeline"
    assert "pipeline" in fields(result)


def test_what_cannot_be_mended_stays_and_is_reported() -> None:
    result, parsed = imported(loras=[PEN_INK | {"weight": 1}, PEN_INK | {"label": "Two"}], x=1)
    assert [preset.slug for preset in parsed.loras] == ["two"]
    assert [problem.field for problem in result.problems] == ["weight", "x"]
    assert "weight: 1" in result.text


def test_changes_stand_in_the_file_and_cannot_break_out_of_the_comment() -> None:
    result, _ = imported(loras=[PEN_INK | {"slug": "a\nmodels:\x85- b\u2028c"}])
    header = result.text.split("\nloras:")[0]
    assert len(result.changes) == 2
    assert all(line.startswith("#") or not line for line in header.splitlines())
    assert "'a-models-bc'" in header


@pytest.mark.parametrize("text", ["", "[]", "{", '{"loras": [{"label": "a", "label": "b"}]}'])
def test_what_cannot_be_read_gives_problems_and_no_file(text: str) -> None:
    result = convert(text, "presets.json", "mine.yaml")
    assert (result.text, result.changes) == ("", ())
    assert result.problems


def test_importing_twice_changes_nothing_more() -> None:
    once, _ = imported(models=[KLEIN], loras=[PEN_INK, PEN_INK])
    twice = convert(once.text, "mine.yaml", "again.yaml")
    assert twice.changes == ()
    assert parse(twice.text, "again.yaml").loras == parse(once.text, "mine.yaml").loras


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "label": st.text(max_size=12) | st.none(),
        "slug": st.text(max_size=12),
        "base_architecture": st.sampled_from(["sdxl", "flux1", "SD1", "zimage", "?"]),
        "air": st.sampled_from(["", "urn:air:flux2:lora:civitai:1@2", "x"]),
        "path": st.sampled_from(["", "a/b", "a.safetensors", "../x", "flux-2/k"]),
        "prompt": st.text(max_size=8) | st.integers(),
        "pipeline": st.sampled_from(["FluxPipeline", "DiffusionPipeline"]),
    },
)


@settings(deadline=None)
@given(st.lists(ENTRIES | st.integers(), max_size=4), st.lists(ENTRIES, max_size=4))
def test_no_entry_is_lost_and_every_change_is_listed(
    models: list[Any], loras: list[dict[str, Any]]
) -> None:
    result, parsed = imported(models=models, loras=loras)
    loaded = len(parsed.models) + len(parsed.loras)
    refused = {problem.entry.split(" ")[0] for problem in result.problems}
    assert loaded + len(refused) == len(models) + len(loras)
    before = parse(json.dumps({"models": models, "loras": loras}), "p.json")
    if not result.changes:
        assert (parsed.models, parsed.loras) == (before.models, before.loras)


@settings(deadline=None)
@given(st.text())
def test_any_text_converts_or_gives_problems(text: str) -> None:
    for origin in ("p.json", "p.yaml"):
        result = convert(text, origin, "mine.yaml")
        assert isinstance(result, Conversion)
