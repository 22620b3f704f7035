"""The only mapping between the preset form's components and a preset's entry."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.architecture import TRAITS, Architecture
from studio.library.preset_files import entry_of
from studio.presets import LoraPreset, Preset, TriggerRule
from studio.presets.rules import pipelines_of
from studio.presets.suggest import checked

PresetEntry = dict[str, Any]

LORA_ONLY = ("theme", "air", "prompt", "negative_prompt", "trigger")
MODEL_ONLY = ("pipeline", "variant")
SETTINGS = ("strength", "guidance_scale", "clip_skip", "steps", "default_width", "default_height")
LORA_SETTINGS = ("strength", "guidance_scale", "clip_skip")
MODEL_SETTINGS = ("guidance_scale", "steps", "default_width", "default_height")


@dataclass(frozen=True, slots=True)
class PresetForm:
    """Components by field name, and the groups that only one kind of preset has."""

    fields: Mapping[str, Any]
    lora: tuple[Any, ...]
    model: tuple[Any, ...]

    def inputs(self) -> list[Any]:
        return list(self.fields.values())


def build() -> PresetForm:
    """Lay the fields out inside the current column."""
    fields: dict[str, Any] = {}
    lora: list[Any] = []
    model: list[Any] = []

    @contextmanager
    def only(groups: list[Any]) -> Iterator[None]:
        with gr.Column(elem_classes="ls-kind", min_width=80) as group:
            yield
        groups.append(group)

    def text(name: str, label: str, **more: Any) -> None:
        fields[name] = gr.Textbox(label=label, min_width=80, **more)

    def number(name: str, label: str) -> None:
        fields[name] = gr.Number(None, label=label, min_width=70)

    with gr.Row(elem_classes="ls-tight"):
        text("label", "Label")
        text("slug", "Slug")
    fields["base_architecture"] = gr.Dropdown(
        [(TRAITS[a].label, a.value) for a in Architecture],
        value=None,
        label="Made for",
        interactive=True,
    )
    with only(lora):
        text("prompt", "Trigger words", placeholder="separated by commas")
        fields["trigger"] = gr.Radio(
            [(rule.value.capitalize(), rule.value) for rule in TriggerRule],
            value=TriggerRule.NONE.value,
            label="Trigger rule",
            elem_classes="ls-segments",
        )
        text("negative_prompt", "Negative prompt")
        with gr.Row(elem_classes="ls-tight"):
            number("strength", "Strength")
            number("clip_skip", "Clip skip")
            text("theme", "Theme")
    number("guidance_scale", "Guidance scale")
    with only(model):
        fields["pipeline"] = gr.Dropdown(
            sorted({name for a in Architecture for name in pipelines_of(a)}),
            value=None,
            label="Pipeline",
            interactive=True,
        )
        with gr.Row(elem_classes="ls-tight"):
            number("steps", "Steps")
            number("default_width", "Width")
            number("default_height", "Height")
        text("variant", "Variant", placeholder="fp16")
    with gr.Accordion("Where the weights are", open=False, elem_classes="ls-settings"):
        text("path", "Path below MODEL_BASE_PATH")
        with only(lora):
            text("air", "AIR")
        with gr.Row(elem_classes="ls-tight"):
            text("huggingface", "Hugging Face repository", placeholder="owner/name")
            text("file", "Its file")
        text("revision", "Revision")
        text("sha256", "SHA-256")
    text("notes", "Notes", lines=2, max_lines=6)
    return PresetForm(fields, tuple(lora), tuple(model))


def values_of(preset: Preset) -> PresetEntry:
    """Field name → what the form shows for ``preset``; blank where it says nothing."""
    entry = entry_of(preset)
    settings, source = entry.get("settings", {}), entry.get("source", {})
    shown: PresetEntry = {name: settings.get(name) for name in SETTINGS}
    shown |= {"huggingface": source.get("huggingface", ""), "file": source.get("file", "")}
    for name in ("label", "slug", "notes", "path", "revision", "sha256", *LORA_ONLY, *MODEL_ONLY):
        shown[name] = entry.get(name, "")
    shown["base_architecture"] = preset.base_architecture.value
    shown["trigger"] = entry.get("trigger") or TriggerRule.NONE.value
    shown["pipeline"] = entry.get("pipeline") or None
    return shown


def read(form: PresetForm, sent: Sequence[Any], kind: type[Preset], before: PresetEntry) -> Preset:
    """The preset that the form says; what the form has no field for stays as ``before`` had it.

    Raises:
        PresetsError: with a sentence for everything that is wrong.
    """
    values = dict(zip(form.fields, sent, strict=True))
    is_lora = kind is LoraPreset
    other = MODEL_ONLY if is_lora else LORA_ONLY
    entry = {name: value for name, value in before.items() if name not in (*other, "source")}
    plain = ("label", "slug", "base_architecture", "notes", "path", "revision", "sha256")
    for name in (*plain, *(LORA_ONLY if is_lora else MODEL_ONLY)):
        _put(entry, name, values[name])
    settings = dict(before.get("settings", {}))
    for name in LORA_SETTINGS if is_lora else MODEL_SETTINGS:
        number = values[name]
        _put(settings, name, number)
    _put(entry, "settings", settings or None)
    source = {**before.get("source", {})}
    _put(source, "huggingface", values["huggingface"])
    _put(source, "file", values["file"])
    _put(entry, "source", source or None)
    preset: Preset = checked(kind, entry)
    return preset


def _put(entry: PresetEntry, name: str, value: Any) -> None:
    """A blank field says nothing."""
    if isinstance(value, str):
        value = value.strip()
    if value in (None, ""):
        entry.pop(name, None)
    else:
        entry[name] = value
