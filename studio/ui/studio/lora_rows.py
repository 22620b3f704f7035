"""The request's LoRAs: a button that opens the browser, and a row for each chosen one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.architecture import Architecture, Mode
from studio.contract.settings import MAX_LORAS, MAX_STRENGTH
from studio.contract.violations import LoraDoesNotFit, Violation
from studio.presets import Catalog
from studio.ui.assets import BROWSE, LORA_ROW, RANGE
from studio.ui.browser import markup
from studio.ui.html import preset_cards
from studio.ui.html.tags import EMPTY, Html, join, span
from studio.ui.studio import hints, lora_actions
from studio.ui.studio.form import Values, chosen_phrases, strengths
from studio.workspace.workspace import Workspace


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
        updates[slot.actions] = lora_actions.actions(number, values, workspace)
    return updates


def _asks_consent(slug: str, found: Sequence[Violation]) -> bool:
    """Whether its file fits in part."""
    return any(
        isinstance(each, LoraDoesNotFit) and each.slug == slug and each.waivable for each in found
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
