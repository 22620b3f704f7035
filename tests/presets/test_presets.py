"""Preset files: what loads, what is refused, where and why."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from studio.architecture import Architecture
from studio.library.preset_files import load
from studio.presets import Catalog, LoraPreset, ModelPreset, TriggerRule
from studio.presets.catalog import replaced
from studio.presets.messages import EXPECTED
from studio.presets.parse import PresetProblem, parse
from studio.presets.text import write_yaml
from studio.settings import BUILT_IN_PRESETS
from tests.support.preset_samples import FLUX1_DEV, lora
from training.mini import subjects

GUIDE_LORA = """\
{
  "label": "Pen & Ink Illustration",
  "base_architecture": "zimage",
  "theme": "illustration",
  "air": "urn:air:zimageturbo:lora:civitai:2344335@2636956",
  "prompt": "phrsink, pen and ink illustration",
  "negative_prompt": "blurry ugly bad",
  "settings": {
    "strength": 0.7,
    "guidance_scale": 1.0,
    "clip_skip": 2
  },
  "notes": "Works best with simple compositions"
}
"""


def only_problem(**fields: Any) -> PresetProblem:
    """The one problem of a LoRA entry; a sound one beside it must load."""
    text = write_yaml({"loras": [lora(**fields), lora(slug="other")]})
    parsed = parse(text, "p.yaml")
    assert [preset.slug for preset in parsed.loras] == ["other"]
    (problem,) = parsed.problems
    return problem


def test_the_shipped_presets_have_no_problem() -> None:
    catalog, problems = load([BUILT_IN_PRESETS])
    assert [problem.describe() for problem in problems] == []
    assert {"mini", "flux2-klein-4b", "qwen-image-2512", "zimage-turbo"} <= set(catalog.models)
    assert len(catalog.loras) == 19
    assert {preset.base_architecture for preset in catalog.models.values()} == set(Architecture)


def test_the_embedded_presets() -> None:
    catalog, _ = load([BUILT_IN_PRESETS])
    mini = catalog.models["mini"]
    assert mini.source is not None
    assert mini.source.embedded == "mini/base"
    assert (mini.settings.steps, mini.settings.guidance_scale) == (20, 3.0)
    fitting = {preset.slug: preset for preset in catalog.loras_for(Architecture.MINI)}
    assert set(fitting) == {"pen-ink-mini", "night-neon-mini"}
    for slug, preset in fitting.items():
        assert preset.source is not None
        assert preset.source.embedded == f"mini/loras/{slug}.safetensors"
        assert preset.trigger is TriggerRule.REQUIRED
    assert catalog.required_phrases(Architecture.MINI)["phrsink"] == {"phrsink": "pen-ink-mini"}


def test_trigger_words_of_the_mini_are_those_it_was_trained_with() -> None:
    catalog, _ = load([BUILT_IN_PRESETS])
    for style in (subjects.PEN_INK, subjects.NIGHT_NEON):
        assert catalog.loras[style.name].prompt == style.trigger


def test_the_mini_says_all_that_it_was_trained_to_draw() -> None:
    catalog, _ = load([BUILT_IN_PRESETS])
    mini = catalog.models["mini"]
    assert list(mini.knows) == [subject.name for subject in subjects.SUBJECTS]
    plain = {
        word for pair in subjects.all_pairs() for word in subjects.plain_caption(pair).split()
    }
    assert list(mini.backgrounds) == list(subjects.BACKGROUNDS)
    assert plain - {"a", "an", "on"} <= {*mini.knows, *mini.backgrounds, *mini.reads}


def test_weights_that_a_preset_had_before_have_a_name() -> None:
    now, before, other = ("a" * 64, "b" * 64, "c" * 64)
    text = write_yaml({"loras": [lora(sha256=now, earlier={"Ink 1": before})]})
    (preset,) = parse(text, "p.yaml").loras
    assert replaced(preset, now) is None
    assert replaced(preset, before) == "Ink 1"
    assert other[:12] in str(replaced(preset, other))
    (unpinned,) = parse(write_yaml({"loras": [lora()]}), "p.yaml").loras
    assert replaced(unpinned, other) is None


@pytest.mark.parametrize("word", ["photo", "sketch", "monochrome", "realism", "white background"])
def test_everyday_words_are_not_forbidden_in_base_prompts(word: str) -> None:
    catalog, _ = load([BUILT_IN_PRESETS])
    assert any(word in preset.prompt.lower() for preset in catalog.loras.values())
    for architecture in Architecture:
        for phrases in catalog.required_phrases(architecture).values():
            assert word not in phrases


def test_the_guides_example_loads_as_it_is() -> None:
    text = json.dumps({"models": [FLUX1_DEV], "loras": [json.loads(GUIDE_LORA)]})
    parsed = parse(text, "presets.json")
    assert parsed.problems == ()
    (model,), (preset,) = parsed.models, parsed.loras
    assert model.model_dump(mode="json", exclude_unset=True) == FLUX1_DEV
    assert (preset.slug, preset.trigger) == ("pen-ink-illustration", TriggerRule.REQUIRED)
    assert preset.trigger_phrases == ("phrsink", "pen and ink illustration")
    assert preset.settings.clip_skip == 2


def test_the_guides_example_loads_beside_the_shipped_presets(tmp_path: Path) -> None:
    (tmp_path / "presets.json").write_text(f'{{"models": [], "loras": [{GUIDE_LORA}]}}')
    catalog, problems = load([BUILT_IN_PRESETS, tmp_path])
    assert problems == ()
    assert "pen-ink-illustration" in catalog.loras


@pytest.mark.parametrize("prompt", ["", " , ", None])
def test_no_trigger_words_need_no_trigger(prompt: str | None) -> None:
    (preset,) = parse(write_yaml({"loras": [lora(prompt=prompt)]}), "p.yaml").loras
    assert preset.trigger is TriggerRule.NONE


def test_nulls_say_nothing() -> None:
    text = json.dumps({"loras": [lora() | {"air": None, "settings": {"strength": None}}]})
    parsed = parse(text, "p.json")
    assert parsed.problems == ()
    assert parsed.loras[0].settings.strength is None


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"settings": {"strength": 2.1}}, "settings.strength", "0.0 to 2.0"),
        ({"settings": {"strength": -0.1}}, "settings.strength", "0.0 to 2.0"),
        ({"settings": {"strength": "0.7"}}, "settings.strength", "without quotes"),
        ({"settings": {"strength": True}}, "settings.strength", "is true"),
        ({"settings": {"strength": float("inf")}}, "settings.strength", "0.0 to 2.0"),
        ({"settings": {"min_strength": -11.0}}, "settings.min_strength", "-10.0 to 0.0"),
        ({"settings": {"strength": -3.0, "min_strength": -2.0}}, "settings.strength", "-2.0 to"),
        ({"settings": {"clip_skip": 0}}, "settings.clip_skip", "1 to 12"),
        ({"settings": {"clip_skip": 13}}, "settings.clip_skip", "1 to 12"),
        ({"settings": {"clip_skip": 2.5}}, "settings.clip_skip", "is 2.5"),
        ({"settings": {"guidance_scale": -1}}, "settings.guidance_scale", "0 to 50"),
        ({"settings": {"strenght": 1}}, "settings.strenght", "Did you mean 'strength'?"),
        ({"settings": []}, "settings", "a list"),
        ({"strength": 1.0}, "strength", "It belongs to settings.strength."),
        ({"thème": "x"}, "thème", "Did you mean 'theme'?"),
        ({"a.b": 1}, "a.b", "Known here"),
        ({"base_architecture": "sd2"}, "base_architecture", "sdxl"),
        ({"base_architecture": None}, "base_architecture", "missing"),
        ({"label": 2024}, "label", "quotes"),
        ({"label": "two\nlines"}, "label", "one line"),
        ({"slug": "Ink Style"}, "slug", "'Ink Style'"),
        ({"path": "/abs/ink.safetensors"}, "path", "relative path"),
        ({"path": "a/../../ink.safetensors"}, "path", "relative path"),
        ({"path": "a\\..\\ink.safetensors"}, "path", "relative path"),
        ({"path": "C:\\ink.safetensors"}, "path", "relative path"),
        ({"path": "~/ink.safetensors"}, "path", "relative path"),
        ({"path": "ink.ckpt"}, "path", "pickle"),
        ({"path": None}, "path", "where the weights are"),
        ({"air": "urn:air:sdxl:lora"}, "air", "is not an AIR"),
        ({"air": "urn:air:sdxl:checkpoint:civitai:1@2"}, "air", "not a LoRA"),
        ({"air": "urn:air:zimageturbo:lora:civitai:1@2"}, "base_architecture", "'zimage'"),
        ({"sha256": "12"}, "sha256", "64 hexadecimal"),
        ({"trigger": "maybe"}, "trigger", "required, optional, none"),
        ({"trigger": "none"}, "trigger", "holds trigger words"),
        ({"trigger": "required", "prompt": ""}, "trigger", "no trigger words"),
        ({"source": {}}, "source", "both or neither"),
        ({"source": {"huggingface": "../.."}}, "source.huggingface", "owner/name"),
        ({"source": {"huggingface": "a/b"}}, "source.file", "one file of its repository"),
        ({"source": {"huggingface": "a/b", "file": "x.bin"}}, "source.file", "pickle"),
        ({"source": {"embedded": "x.safetensors", "file": "y"}}, "source.file", "huggingface"),
    ],
)
def test_a_bad_lora_names_its_field_and_the_others_load(
    fields: dict[str, Any], field: str, said: str
) -> None:
    problem = only_problem(**fields)
    assert problem.field == field
    assert said in f"{problem.message} {problem.way_out}"
    assert problem.entry.startswith("loras[0]")
    assert "pydantic" not in problem.describe()


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"pipeline": "StableDiffusionPipeline"}, "pipeline", "FluxPipeline"),
        ({"pipeline": "FluxPipelin"}, "pipeline", "not one the studio knows"),
        ({"label": "Flux 2 Klein"}, "base_architecture", "studio presets import"),
        ({"path": "x/FLUX.2-klein-4B"}, "base_architecture", "studio presets import"),
        ({"path": "x/flux.ckpt"}, "path", "pickle"),
        ({"settings": {"supports_negative_prompt": "no"}}, "supports_negative_prompt", "true or"),
        ({"settings": {"steps": 0}}, "steps", "1 to 200"),
        ({"settings": {"scheduler": "Euler"}}, "scheduler", "ends in Scheduler"),
    ],
)
def test_a_bad_model_names_its_field(fields: dict[str, Any], field: str, said: str) -> None:
    (problem,) = parse(write_yaml({"models": [FLUX1_DEV | fields]}), "p.yaml").problems
    assert problem.field.endswith(field)
    assert said in f"{problem.message} {problem.way_out}"


def test_every_field_says_what_it_expects() -> None:
    fields: set[str] = set()
    for kind in (ModelPreset, LoraPreset):
        for name, info in kind.model_fields.items():
            fields.add(name)
            nested = [part for part in _types(info.annotation) if issubclass(part, BaseModel)]
            fields |= {f"{name}.{inner}" for part in nested for inner in part.model_fields}
    assert fields == set(EXPECTED)


def _types(annotation: Any) -> list[type]:
    parts = getattr(annotation, "__args__", (annotation,))
    return [part for part in parts if isinstance(part, type)]


def test_a_model_and_a_lora_cannot_share_a_slug() -> None:
    text = write_yaml({"models": [FLUX1_DEV], "loras": [lora(slug="flux1_dev")]})
    parsed = parse(text, "p.yaml")
    assert (len(parsed.models), len(parsed.loras)) == (1, 0)
    assert "taken" in parsed.problems[0].message
    preset = LoraPreset.model_validate(lora(slug="flux1_dev", trigger="required"))
    with pytest.raises(ValueError, match="same slug"):
        Catalog((ModelPreset.model_validate(FLUX1_DEV),), (preset,))


def test_numbers_are_not_read_out_of_texts_in_code_either() -> None:
    with pytest.raises(ValidationError):
        LoraPreset.model_validate(lora(trigger="required", settings={"strength": "1"}))
