"""The left side of the Studio tab: every component of the request, and where hints stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from studio.architecture import Mode
from studio.presets import MAX_STRENGTH
from studio.request import PromptEncoder
from studio.ui.form import MAX_LORAS, Form
from studio.ui.plan_html import ENCODER_NAMES
from studio.ui.start import Start

MODES = (Mode.BASE, Mode.LORA, Mode.LORA_WITH_TRIGGER, Mode.TRIGGER_ONLY)
"""Reference edit needs a picture to edit, which this form has no place for."""

REMOVE = "ls-quiet ls-remove"

Hints = dict[str, gr.HTML]
"""A request's field → the line beside it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place for a chosen LoRA."""

    group: gr.Column
    strength: gr.Slider
    caption: gr.HTML
    remove: gr.Button


@dataclass(frozen=True, slots=True)
class RequestPanel:
    """The form, and what stands around it."""

    form: Form
    theme: gr.Dropdown
    words: gr.Textbox
    add: gr.Dropdown
    lora_note: gr.HTML
    slots: tuple[Slot, ...]
    hints: Hints
    settings: gr.Accordion
    bar: gr.HTML
    compact: gr.HTML
    generate: gr.Button
    cancel: gr.Button


def build(start: Start, schedulers: tuple[str, ...]) -> RequestPanel:
    """Lay the panel out inside the current column."""
    hints: Hints = {}
    with _field(hints, "base"):
        base = gr.Dropdown(
            list(start.bases), value=start.base, label="Base", interactive=True, elem_id="base"
        )
    theme, words, add, note = _picker(hints, start)
    chosen = gr.State(start.chosen)
    slots = tuple(_slot(number) for number in range(MAX_LORAS))
    with _field(hints, "mode"):
        mode = gr.Radio(
            [(mode.label, mode.value) for mode in MODES],
            value=start.mode.value,
            label="Mode",
            elem_id="mode",
            elem_classes="ls-segments",
        )
    with _field(hints, "prompt"):
        prompt = gr.Textbox(start.prompt, label="Prompt", lines=2, max_lines=8, elem_id="prompt")
    with _field(hints, "negative_prompt"):
        negative = gr.Textbox(label="Negative prompt", lines=1, max_lines=4, elem_id="negative")
    with gr.Accordion("Settings", open=False, elem_classes="ls-settings") as settings:
        numbers = _numbers(hints)
        scheduler, encoder, allow_cut = _ways(hints, schedulers)
    bar, compact, generate, cancel = _actions()
    form = Form(
        base=base,
        chosen=chosen,
        strengths=tuple(slot.strength for slot in slots),
        mode=mode,
        prompt=prompt,
        negative_prompt=negative,
        scheduler=scheduler,
        drawn=gr.State(0),
        said=gr.State(()),
        prompt_encoder=encoder,
        allow_cut=allow_cut,
        **numbers,
    )
    return RequestPanel(
        form, theme, words, add, note, slots, hints, settings, bar, compact, generate, cancel
    )


@contextmanager
def _field(hints: Hints, name: str) -> Iterator[None]:
    """A column of a component and the line beneath it."""
    with gr.Column(elem_classes="ls-field", min_width=80):
        yield
        hints[name] = gr.HTML("", apply_default_css=False, elem_classes="ls-hint")


def _picker(hints: Hints, start: Start) -> tuple[gr.Dropdown, gr.Textbox, gr.Dropdown, gr.HTML]:
    with gr.Column(elem_classes="ls-field ls-picker", min_width=80):
        with gr.Row(elem_classes="ls-tight"):
            theme = gr.Dropdown(
                [("All themes", ""), *((name, name) for name in start.themes)],
                value="",
                label="Theme",
                interactive=True,
                scale=3,
                min_width=90,
            )
            words = gr.Textbox(label="Find", placeholder="words", scale=3, min_width=80)
            add = gr.Dropdown(
                list(start.offer),
                value=None,
                label="Add a LoRA",
                interactive=True,
                scale=5,
                min_width=140,
                elem_id="add-lora",
            )
        note = gr.HTML(start.note, apply_default_css=False, elem_classes="ls-hint")
        hints["loras"] = gr.HTML("", apply_default_css=False, elem_classes="ls-hint")
    return theme, words, add, note


def _slot(number: int) -> Slot:
    with gr.Column(
        visible=False, elem_classes="ls-slot", elem_id=f"lora-{number}", min_width=80
    ) as group:
        with gr.Row(elem_classes="ls-slot-row"):
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
            remove = gr.Button("Remove", size="sm", scale=0, min_width=70, elem_classes=REMOVE)
        caption = gr.HTML("", apply_default_css=False, elem_classes="ls-hint")
    return Slot(group, strength, caption, remove)


def _numbers(hints: Hints) -> dict[str, gr.Number]:
    rows = (
        (("settings.steps", "Steps", 0), ("settings.guidance_scale", "Guidance scale", None)),
        (("settings.width", "Width", 0), ("settings.height", "Height", 0)),
        (("seed", "Seed", 0), ("count", "Pictures", 0)),
    )
    numbers: dict[str, gr.Number] = {}
    for row in (*rows, (("settings.clip_skip", "Clip skip", 0),)):
        with gr.Row(elem_classes="ls-tight"):
            for field, label, precision in row:
                with _field(hints, field):
                    numbers[field.removeprefix("settings.")] = gr.Number(
                        1 if field == "count" else None,
                        label=label,
                        precision=precision,
                        placeholder="new each run" if field == "seed" else "preset",
                        min_width=80,
                    )
    return numbers


def _ways(hints: Hints, schedulers: tuple[str, ...]) -> tuple[gr.Dropdown, gr.Radio, gr.Checkbox]:
    with _field(hints, "settings.scheduler"):
        scheduler = gr.Dropdown(
            [
                ("From the preset", ""),
                *((name.removesuffix("Scheduler"), name) for name in schedulers),
            ],
            value="",
            label="Scheduler",
            interactive=True,
        )
    with _field(hints, "prompt_encoder"):
        encoder = gr.Radio(
            [(name, encoder.value) for encoder, name in ENCODER_NAMES.items()],
            value=PromptEncoder.COMPEL.value,
            label="Prompt encoder",
            elem_classes="ls-segments",
        )
    with _field(hints, "allow_cut"):
        allow_cut = gr.Checkbox(
            False, label="My words may be cut where the native encoder has no room"
        )
    return scheduler, encoder, allow_cut


def _actions() -> tuple[gr.HTML, gr.HTML, gr.Button, gr.Button]:
    with gr.Column(elem_classes="ls-actions", min_width=80):
        compact = gr.HTML("", apply_default_css=False, elem_classes="ls-compact")
        with gr.Row(elem_classes="ls-tight"):
            generate = gr.Button(
                "Generate", variant="primary", interactive=False, scale=4, elem_id="generate"
            )
            cancel = gr.Button(
                "Cancel", interactive=False, scale=1, min_width=96, elem_id="cancel"
            )
        bar = gr.HTML("", apply_default_css=False, elem_classes="ls-bar")
    return bar, compact, generate, cancel
