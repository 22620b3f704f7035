"""Presets of one's own: added, edited, removed."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.library.preset_files import entry_of
from studio.presets import LoraPreset, ModelPreset, Preset
from studio.presets.model_card import differences
from studio.presets.suggest import Suggestion
from studio.ui.html import download as download_html
from studio.ui.html import icons
from studio.ui.html.tags import EMPTY, Html, span, tag
from studio.ui.models import form as preset_form
from studio.ui.models.events import ModelsEvents
from studio.ui.models.layout import ModelsInput, ModelsParts
from studio.ui.studio.live import Updates
from studio.workspace.workspace import Workspace

KINDS: dict[str, type[Preset]] = {"loras": LoraPreset, "models": ModelPreset}


class PresetEditing:
    """Handlers of the preset form; ``events`` shows what comes of them."""

    def __init__(self, workspace: Workspace, parts: ModelsParts, events: ModelsEvents) -> None:
        self._workspace = workspace
        self._parts = parts
        self._events = events

    def add(self, _asked: ModelsInput) -> Updates:
        """An empty form that begins with a link."""
        parts = self._parts
        return {
            parts.form_view: gr.Column(visible=True),
            parts.source_row: gr.Row(visible=True),
            parts.fields: gr.Column(visible=False),
            parts.source: "",
            parts.said: EMPTY,
            parts.details: gr.HTML(visible=False),
            parts.actions: gr.Row(visible=False),
            parts.use: gr.Button(visible=False),
            parts.editing: ("loras", ""),
        }

    def look_up(self, asked: ModelsInput) -> Updates:
        """Everything that is known of a link, an AIR, a repository or a file, prefilled."""
        parts = self._parts
        if not self._events.may_change:
            return self._events.unchanged()
        try:
            suggestion = self._workspace.stock.suggest(asked.source.strip(), {})
        except StudioError as error:
            return {
                parts.said: download_html.failed(error),
                parts.fields: gr.Column(visible=False),
            }
        return self._fill(suggestion.preset, "") | {parts.said: _prefilled(suggestion)}

    def edit(self, asked: ModelsInput) -> Updates:
        """The form with a preset's own values."""
        parts, slug = self._parts, asked.chosen
        preset = self._events.preset(slug)
        if preset is None or not self._events.may_change:
            return self._events.unchanged()
        name = self._workspace.settings.local_presets.name
        line = f"Saving changes its entry in {name}."
        if slug not in self._workspace.catalog.local:
            line = (
                f"Saving adds an entry to {name} that overrides this one; the original file is "
                "unchanged."
            )
        return self._fill(preset, slug) | {
            parts.form_view: gr.Column(visible=True),
            parts.source_row: gr.Row(visible=False),
            parts.details: gr.HTML(visible=False),
            parts.actions: gr.Row(visible=False),
            parts.use: gr.Button(visible=False),
            parts.said: tag("p", line, class_="ls-dim"),
        }

    def _fill(self, preset: Preset, slug: str) -> Updates:
        parts = self._parts
        is_lora = isinstance(preset, LoraPreset)
        shown = preset_form.values_of(preset)
        form = parts.form
        updates: Updates = {form.fields[name]: value for name, value in shown.items()}
        updates |= {group: gr.Column(visible=is_lora) for group in form.lora}
        updates |= {group: gr.Column(visible=not is_lora) for group in form.model}
        return updates | {
            parts.fields: gr.Column(visible=True),
            parts.editing: ("loras" if is_lora else "models", slug),
            parts.before: entry_of(preset),
        }

    def save(self, asked: ModelsInput, sent: Sequence[Any], fetch: bool) -> Updates:
        """Check the form, write the entry, and open the preset."""
        parts = self._parts
        if not self._events.may_change:
            return self._events.unchanged()
        part, old = asked.editing
        stock = self._workspace.stock
        try:
            preset = preset_form.read(parts.form, sent, KINDS[part], asked.before)
            if preset.slug != old and self._events.preset(preset.slug) is not None:
                return {parts.said: _taken(preset.slug)}
            stock.put(preset)
            if old and preset.slug != old and old in self._workspace.catalog.local:
                stock.remove(old)
        except StudioError as error:
            return {parts.said: download_html.failed(error)}
        updates = self._events.open(preset.slug)
        return updates | self._events.download(preset.slug) if fetch else updates

    def close(self, asked: ModelsInput) -> Updates:
        """Back to what was open."""
        return {self._parts.form_view: gr.Column(visible=False)} | self._events.open(asked.chosen)

    def ask_remove(self, _asked: ModelsInput) -> Updates:
        return {self._parts.confirm: gr.Row(visible=True)}

    def keep(self, _asked: ModelsInput) -> Updates:
        return {self._parts.confirm: gr.Row(visible=False)}

    def remove(self, asked: ModelsInput) -> Updates:
        """Take it out of the studio's own file; its weights stay."""
        parts, slug = self._parts, asked.chosen
        if not self._events.may_change:
            return self._events.unchanged()
        try:
            self._workspace.stock.remove(slug)
        except StudioError as error:
            return {parts.transfer: download_html.failed(error)}
        updates = self._events.open(slug)  # the entry that it went over, if there is one
        return updates | {parts.confirm: gr.Row(visible=False), parts.transfer: EMPTY}


def _prefilled(suggestion: Suggestion) -> Html:
    """Who said what, and where preset and publisher would differ."""
    by: dict[str, list[str]] = {}
    for field, who in suggestion.said_by.items():
        by.setdefault(who, []).append(field.replace("_", " "))
    lines = [f"From {who}: {', '.join(fields)}." for who, fields in by.items()]
    preset, published = suggestion.preset, suggestion.published
    if published is not None and isinstance(preset, LoraPreset):
        lines += [
            f"{what}: {own!r} here, {theirs!r} at the publisher."
            for what, own, theirs in differences(
                published, preset.prompt, preset.settings.strength
            )
        ]
    return tag("ul", *(tag("li", line) for line in lines), class_="ls-prefilled")


def _taken(slug: str) -> Html:
    text = f"There is a preset {slug!r} already. Give this one another slug."
    return tag("p", icons.ALERT, span("", text), class_="ls-said ls-problem")
