"""What can be done with a chosen LoRA: its phrases, its finer strength, the buttons of its row."""

from studio.architecture import Architecture, Mode, traits_of
from studio.contract.settings import MAX_STRENGTH
from studio.presets import Catalog, LoraPreset
from studio.ui.browser import markup
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag
from studio.ui.studio.form import Values, chosen_phrases, finer_of
from studio.workspace.workspace import Workspace

LOWEST = -MAX_STRENGTH
"""The strength that a preset is given where somebody allows it to turn its LoRA around."""


def actions(number: int, values: Values, workspace: Workspace) -> Html:
    """What stands beneath the row: its trigger phrases, its finer strength and its buttons."""
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
