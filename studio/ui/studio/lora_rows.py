"""The request's LoRAs: a button that opens the browser, and a row for each chosen one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.architecture import Architecture, Mode, traits_of
from studio.contract.settings import MAX_LORAS, MAX_STRENGTH
from studio.contract.violations import LoraDoesNotFit, Violation
from studio.presets import Catalog, LoraPreset
from studio.ui.assets import BROWSE, LORA_ROW, RANGE
from studio.ui.browser import markup
from studio.ui.html import format, preset_cards
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag
from studio.ui.studio import hints
from studio.ui.studio.form import Values, chosen_phrases, finer_of, strengths
from studio.workspace.workspace import Workspace

LOWEST = -MAX_STRENGTH
"""The strength that a preset is given where somebody allows it to turn its LoRA around."""


@dataclass(frozen=True, slots=True)
class PickerSlot:
    """One place for a chosen LoRA.

    Attributes:
        face: its small picture.
        on: whether it takes part; its strength stays where it does not.
        actions: what can be done with it, its ``pick`` event the key and, where the browser was
            asked, the slug.
    """

    group: gr.Column
    face: gr.HTML
    on: gr.Checkbox
    strength: gr.Slider
    partial: gr.Checkbox
    caption: gr.HTML
    actions: gr.HTML

    def shown(self) -> tuple[Any, ...]:
        """What is drawn and is no value of the form."""
        return self.group, self.face, self.caption, self.actions


def opener(chosen: Sequence[str], architecture: Architecture | None) -> gr.HTML:
    """The button above the rows."""
    return gr.HTML(
        adding(chosen, architecture, None),
        js_on_load=BROWSE,
        apply_default_css=False,
        elem_id="add-lora",
    )


def adding(
    chosen: Sequence[str], architecture: Architecture | None, catalog: Catalog | None
) -> Html:
    """Add a LoRA, and how many there are for the base."""
    button = markup.button("Add a LoRA", architecture, "add", taken=chosen)
    if catalog is None or architecture is None:
        return button
    fitting = len(catalog.loras_for(architecture))
    others = len(catalog.loras) - fitting
    line = f"{fitting:,} fit" if fitting != 1 else "1 fits"
    line += f" · {others:,} hidden: made for other architectures" if others else ""
    return join((button, span("ls-origin", line)))


def slot(number: int) -> PickerSlot:
    """Lay a row out inside the current column."""
    with gr.Column(
        visible=False, elem_classes="ls-slot", elem_id=f"lora-{number}", min_width=80
    ) as group:
        with gr.Row(elem_classes="ls-slot-row"):
            face = gr.HTML("", apply_default_css=False, elem_classes="ls-face")
            on = gr.Checkbox(
                True, label="On", container=False, scale=0, min_width=20, elem_classes="ls-on"
            )
            strength = gr.Slider(
                0,
                MAX_STRENGTH,
                value=1.0,
                step=0.05,
                label="Strength",
                buttons=[],
                scale=8,
                min_width=160,
            )
        partial = gr.Checkbox(
            False, label="Apply matching layers only", visible=False, elem_classes="ls-partial"
        )
        caption = gr.HTML("", js_on_load=RANGE, apply_default_css=False, elem_classes="ls-hint")
        actions = gr.HTML(
            "", js_on_load=LORA_ROW, apply_default_css=False, elem_classes="ls-slot-actions"
        )
    return PickerSlot(group, face, on, strength, partial, caption, actions)


def captions(
    slots: Sequence[PickerSlot],
    values: Values,
    mode: Mode,
    found: Sequence[Violation],
    workspace: Workspace,
    *,
    writes: bool,
) -> dict[Any, Any]:
    """What stands beneath each strength, after every edit.

    Args:
        writes: the consents are written too, because a row has moved or gone.
    """
    numbers = strengths(values)
    updates: dict[Any, Any] = {}
    for number, slot in enumerate(slots):
        if number >= len(values["chosen"]):
            updates |= {slot.caption: EMPTY, slot.actions: EMPTY}
            updates[slot.partial] = gr.Checkbox(
                visible=False, **({"value": False} if writes else {})
            )
            continue
        slug = values["chosen"][number]
        if values[f"on_{number}"]:
            used = chosen_phrases(slug, values, workspace.catalog)
            caption = hints.slot_caption(
                slug, numbers[number], mode, workspace.catalog, found, used
            )
        else:
            caption = span("ls-aside", "Off: it takes no part, and keeps its strength.")
        updates[slot.caption] = caption
        given = bool(values[f"partial_{number}"])
        updates[slot.partial] = gr.Checkbox(
            visible=given or _asks_consent(slug, found), **({"value": given} if writes else {})
        )
        updates[slot.actions] = _actions(number, values, workspace)
    return updates


def _asks_consent(slug: str, found: Sequence[Violation]) -> bool:
    """Whether its file fits in part."""
    return any(
        isinstance(each, LoraDoesNotFit) and each.slug == slug and each.waivable for each in found
    )


def _actions(number: int, values: Values, workspace: Workspace) -> Html:
    chosen, catalog = values["chosen"], workspace.catalog
    slug = chosen[number]
    preset = catalog.loras.get(slug)
    label = preset.label if preset else slug
    model = catalog.models.get(values["base"])
    family = None if model is None else model.base_architecture
    buttons = [
        markup.button(
            "Replace",
            family,
            "replace",
            taken=chosen,
            title=f"In the place of {label}",
            style="ls-link",
            aria_label=f"Replace {label}",
        )
    ]
    if number:
        why = "Their order changes nothing"
        buttons.append(_button("Move up", "up", f"Move {label} up", title=why))
    if preset is not None:
        buttons += _of_preset(preset, number, values, workspace)
    buttons.append(_button("Remove", "remove", f"Remove {label}"))
    row = div("ls-slot-buttons", *buttons)
    if preset is None:
        return row
    finer = _finer(preset, number, values, family) if family is not None else EMPTY
    return join((_phrases(preset, values, catalog), finer, row))


def _finer(preset: LoraPreset, number: int, values: Values, architecture: Architecture) -> Html:
    """A strength for each part of the base, and the steps; an empty one is the LoRA's own."""
    if not Mode(values["mode"]).applies_loras:
        return EMPTY
    said = dict(each.split("=") for each in finer_of(preset.slug, values).finer.split(":") if each)
    settings, whole = preset.settings, values[f"strength_{number}"]
    parts = traits_of(architecture).parts
    usual: dict[str, float | None] = {
        each.name: settings.parts.get(each.name, whole) for each in parts
    }
    labels = {each.name: each.label.capitalize() for each in parts}
    labels |= {"from": "On from step", "until": "Until step"}
    usual |= {"from": settings.first_step, "until": settings.last_step}
    fields = [
        _field(name, label, said.get(name), usual[name], preset.label)
        for name, label in labels.items()
    ]
    summary = f"Finer strength: {len(said)} of its own" if said else "Finer strength"
    return tag(
        "details",
        tag("summary", summary),
        div("ls-finer-fields", *fields),
        class_="ls-finer",
        data_keep=f"finer-{preset.slug}",
    )


def _field(name: str, label: str, value: str | None, usual: float | None, whose: str) -> Html:
    return tag(
        "label",
        span("", label),
        tag(
            "input",
            type="text",
            inputmode="decimal",
            data_finer=name,
            value=value,
            placeholder="all" if usual is None else f"{usual:g}",
            aria_label=f"{label}, {whose}",
        ),
    )


def _phrases(preset: LoraPreset, values: Values, catalog: Catalog) -> Html:
    """Which of several trigger phrases are used, each a switch."""
    phrases = preset.trigger_phrases
    if len(phrases) < 2 or not Mode(values["mode"]).takes_trigger_words:
        return EMPTY
    used = chosen_phrases(preset.slug, values, catalog)
    if used is None:
        used = () if preset.alternatives else phrases
    switches = (
        tag(
            "button",
            phrase,
            type="button",
            class_="ls-thing",
            data_phrase=phrase,
            aria_pressed="true" if phrase in used else "false",
            title="Use it alone" if preset.alternatives else "Use it, or not",
        )
        for phrase in phrases
    )
    told = f"Trigger words of {preset.label}"
    one = "" if preset.alternatives else None
    return div("ls-phrases", *switches, role="group", aria_label=told, data_one=one)


def _of_preset(
    preset: LoraPreset, number: int, values: Values, workspace: Workspace
) -> list[Html]:
    """What has to do with what the preset says of its strength."""
    usual, strength = preset.usual_strength, values[f"strength_{number}"]
    buttons = []
    if strength != usual or preset.slug in values["said"]:
        text = f"Reset to {format.strength(usual)}"
        buttons.append(_button(text, "reset", f"{text}, as the preset of {preset.label} has it"))
    if workspace.settings.is_public:
        return buttons
    if strength is not None and strength != usual:
        text = f"Make {format.strength(strength)} the preset's"
        buttons.append(_button(text, "keep", f"{text}: {preset.label}"))
    if strength == 0 == preset.settings.strengths[0]:
        text = "Allow below 0"
        told = f"{text}: let the preset of {preset.label} go down to {LOWEST:g}"
        buttons.append(_button(text, "below", told))
    return buttons


def _button(text: str, key: str, told: str, **attributes: object) -> Html:
    """``told`` is its whole name, which tells the rows' buttons apart."""
    return tag(
        "button",
        text,
        type="button",
        class_="ls-link",
        data_pick=key,
        aria_label=told,
        **attributes,
    )


def rows(slots: Sequence[PickerSlot], values: Values, workspace: Workspace) -> dict[Any, Any]:
    """The rows themselves: only when LoRAs are added, removed, replaced or filled in."""
    updates: dict[Any, Any] = {}
    for number in range(MAX_LORAS):
        slot = slots[number]
        used = number < len(values["chosen"])
        updates[slot.group] = gr.Column(visible=used)
        if not used:
            continue
        slug = values["chosen"][number]
        preset = workspace.catalog.loras.get(slug)
        label = preset.label if preset else slug
        low, high = preset.settings.strengths if preset else (0.0, MAX_STRENGTH)
        updates[slot.strength] = gr.Slider(
            minimum=low, maximum=high, value=values[f"strength_{number}"], label=label
        )
        updates[slot.on] = gr.Checkbox(bool(values[f"on_{number}"]), label=f"Use {label}")
        updates[slot.face] = preset_cards.picture(
            workspace.stock.preview(slug) if preset else None
        )
    return updates
