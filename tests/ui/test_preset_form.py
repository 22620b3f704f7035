"""A preset's form hands on what was typed, and the preset says whether that may be."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from studio.errors import PresetsError
from studio.presets import LoraPreset, ModelPreset, Preset
from studio.ui.models.form import PresetForm, build, read, values_of

LORA = LoraPreset.model_validate(
    {"slug": "ink", "label": "Ink", "base_architecture": "mini", "path": "ink.safetensors"}
    | {"trigger": "none"}
)
MODEL = ModelPreset.model_validate(
    {
        "slug": "base",
        "label": "Base",
        "base_architecture": "mini",
        "path": "base",
        "pipeline": "StableDiffusionPipeline",
        "settings": {
            "steps": 20,
            "guidance_scale": 5.0,
            "default_width": 64,
            "default_height": 64,
        },
    }
)


@pytest.fixture(scope="module")
def form() -> Iterator[PresetForm]:
    with gr.Blocks():
        yield build()


def sent(form: PresetForm, preset: Preset, **typed: object) -> list[object]:
    """What the form's function gets, each value through its component as gradio does it."""
    values = values_of(preset) | typed
    return [field.preprocess(values.get(name)) for name, field in form.fields.items()]


@pytest.mark.parametrize(
    ("preset", "name", "typed"),
    [
        (MODEL, "steps", 2.5),
        (MODEL, "steps", 20.000001),
        (MODEL, "default_width", 64.5),
        (MODEL, "default_height", 127.9),
        (LORA, "clip_skip", 1.5),
    ],
)
def test_half_a_number_is_named_and_not_rounded(
    form: PresetForm, preset: Preset, name: str, typed: float
) -> None:
    with pytest.raises(PresetsError) as refusal:
        read(form, sent(form, preset, **{name: typed}), type(preset), {})
    assert str(typed) in refusal.value.message
    assert name.rpartition("_")[2] in refusal.value.message


def test_a_whole_number_is_taken(form: PresetForm) -> None:
    made = read(form, sent(form, MODEL, steps=3), ModelPreset, {})
    assert made.settings.steps == 3
