"""The left side of the Studio tab: every component of the request, and where hints stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from studio.contract.placement import Dtype
from studio.contract.request import PromptEncoder
from studio.contract.settings import BY_NAME, MAX_LORAS, SETTINGS
from studio.settings import Settings
from studio.ui.assets import PICK, TIE
from studio.ui.html.plan import ENCODER_NAMES
from studio.ui.studio import lora_rows, own_lora
from studio.ui.studio import references as reference_field
from studio.ui.studio.form import COUNTED, Form
from studio.ui.studio.lora_rows import PickerSlot
from studio.ui.studio.own_lora import OwnLoraField
from studio.ui.studio.references import ReferenceField
from studio.ui.studio.shown import SOME_BASES, Shown
from studio.ui.studio.start import Start

KEPT_SECRET = "LoRA Studio"
"""Keeps nothing from anybody: what a browser keeps must be readable after a restart."""
COUNTS = {"seed": (COUNTED["seed"], "new each run"), "count": (COUNTED["count"], "1")}
"""Numbers that are no settings: label, and what an empty field stands for."""

Hints = dict[str, gr.HTML]
"""A request's field → the line beside it."""

Fields = dict[str, gr.Column]
"""A request's field → its column, which can be hidden."""


@dataclass(frozen=True, slots=True)
class RequestPanel:
    """The form, and what stands around it.

    Attributes:
        note: what of the form that the browser kept is not valid any more.
        kept: the form, in the browser; see ``kept.kept``.
        own: where visitors bring a LoRA of their own; None where nobody does.
    """

    form: Form
    add: gr.HTML
    slots: tuple[PickerSlot, ...]
    hints: Hints
    fields: Fields
    reference: ReferenceField
    own: OwnLoraField | None
    things: gr.HTML
    settings: gr.Accordion
    reset: gr.Button
    note: gr.HTML
    kept: gr.BrowserState
    bar: gr.HTML
    compact: gr.HTML
    generate: gr.Button
    cancel: gr.Button


def build(start: Start, settings: Settings) -> RequestPanel:
    """Lay the panel out inside the current column."""
    hints: Hints = {}
    fields: Fields = {}
    offer = start.shown
    lost = gr.HTML("", apply_default_css=False, elem_id="lost")
    with _field(hints, "base"):
        base = gr.Dropdown(
            list(start.bases), value=start.base, label="Base", interactive=True, elem_id="base"
        )
    with gr.Column(elem_classes="ls-field", min_width=80):
        add = lora_rows.opener(start.chosen, start.architecture)
        hints["loras"] = gr.HTML("", apply_default_css=False, elem_classes="ls-hint")
    chosen = gr.State(start.chosen)
    slots = tuple(lora_rows.slot(number) for number in range(MAX_LORAS))
    own = own_lora.build(settings.visitors) if settings.visitors_bring else None
    with _field(hints, "mode"):
        mode = gr.Radio(
            [(mode.label, mode.value) for mode in offer.modes],
            value=start.mode.value,
            label="Mode",
            elem_id="mode",
            elem_classes="ls-segments",
        )
    with _field(hints, "references", fields, offer):
        reference = reference_field.build()
    with _field(hints, "prompt"):
        prompt = gr.Textbox(start.prompt, label="Prompt", lines=2, max_lines=8, elem_id="prompt")
        things = gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_id="things")
    with _field(hints, "negative_prompt", fields, offer):
        negative = gr.Textbox(label="Negative prompt", lines=1, max_lines=4, elem_id="negative")
    with gr.Accordion("Settings", open=False, elem_classes="ls-settings") as settings:
        numbers = _numbers(hints, fields, offer)
        lists = _lists(hints, offer)
        encoder, allow_cut = _ways(hints, fields, offer)
        reset = gr.Button("Reset the form", size="sm", elem_classes="ls-quiet", elem_id="reset")
    bar, compact, generate, cancel = _actions()
    form = Form(
        base=base,
        chosen=chosen,
        strengths=tuple(slot.strength for slot in slots),
        ons=tuple(slot.on for slot in slots),
        partials=tuple(slot.partial for slot in slots),
        references=reference.held,
        mode=mode,
        prompt=prompt,
        negative_prompt=negative,
        settings={name: (numbers | lists)[name] for name in BY_NAME},
        drawn=gr.State(0),
        said=gr.State(()),
        unused=gr.State(()),
        finer=gr.State(()),
        prompt_encoder=encoder,
        allow_cut=allow_cut,
        seed=numbers["seed"],
        count=numbers["count"],
    )
    return RequestPanel(
        form=form,
        add=add,
        slots=slots,
        hints=hints,
        fields=fields,
        reference=reference,
        own=own,
        things=things,
        settings=settings,
        reset=reset,
        note=lost,
        kept=gr.BrowserState(None, storage_key="lora-studio-form", secret=KEPT_SECRET),
        bar=bar,
        compact=compact,
        generate=generate,
        cancel=cancel,
    )


@contextmanager
def _field(
    hints: Hints, name: str, fields: Fields | None = None, offer: Shown | None = None
) -> Iterator[None]:
    """A column of a component and the line beneath it; in ``fields`` if it can be hidden."""
    field = name.removeprefix("settings.")
    seen = offer is None or offer.fields.get(field, True)
    with gr.Column(elem_classes="ls-field", min_width=80, visible=seen) as column:
        yield
        hints[name] = gr.HTML(
            "", apply_default_css=False, elem_classes="ls-hint", js_on_load=TIE + PICK
        )
    if fields is not None:
        fields[field] = column


def _numbers(hints: Hints, fields: Fields, offer: Shown) -> dict[str, gr.Number]:
    settings = [setting for setting in SETTINGS if setting.kind.is_number]
    usual = [setting.name for setting in settings if setting.takes is None]
    rows = [usual[at : at + 2] for at in range(0, len(usual), 2)]
    numbers: dict[str, gr.Number] = {}
    for row in (
        *rows,
        list(COUNTS),
        [each for each in SOME_BASES if BY_NAME[each].kind.is_number],
    ):
        with gr.Row(elem_classes="ls-tight"):
            for name in row:
                setting = BY_NAME.get(name)
                label, empty = (
                    COUNTS[name] if setting is None else (setting.label, setting.placeholder)
                )
                at = name if setting is None else setting.field
                with _field(hints, at, fields if name in SOME_BASES else None, offer):
                    numbers[name] = gr.Number(
                        1 if name == "count" else None,
                        label=label,
                        placeholder=empty,
                        min_width=80,
                    )
    return numbers


def scheduler_choices(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """(what the list says, class) for each scheduler, after the base's own."""
    named = ((name.removesuffix("Scheduler"), name) for name in names)
    return [("From the preset", ""), *named]


def _lists(hints: Hints, offer: Shown) -> dict[str, gr.Dropdown]:
    choices = {
        "scheduler": scheduler_choices(offer.schedulers),
        "precision": [("Automatic", ""), *((dtype.value, dtype.value) for dtype in Dtype)],
    }
    lists: dict[str, gr.Dropdown] = {}
    with gr.Row(elem_classes="ls-tight"):
        for name, offered in choices.items():
            with _field(hints, BY_NAME[name].field):
                lists[name] = gr.Dropdown(
                    offered, value="", label=BY_NAME[name].label, interactive=True, min_width=80
                )
    return lists


def _ways(hints: Hints, fields: Fields, offer: Shown) -> tuple[gr.Radio, gr.Checkbox]:
    with _field(hints, "prompt_encoder", fields, offer):
        encoder = gr.Radio(
            [(name, encoder.value) for encoder, name in ENCODER_NAMES.items()],
            value=PromptEncoder.COMPEL.value,
            label="Prompt encoder",
            elem_classes="ls-segments",
        )
    with _field(hints, "allow_cut", fields, offer):
        allow_cut = gr.Checkbox(False, label="Allow truncating my prompt to the encoder's limit")
    return encoder, allow_cut


def _actions() -> tuple[gr.HTML, gr.HTML, gr.Button, gr.Button]:
    with gr.Column(elem_classes="ls-actions", min_width=80):
        compact = gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_classes="ls-compact")
        with gr.Row(elem_classes="ls-tight"):
            generate = gr.Button(
                "Generate", variant="primary", interactive=False, scale=4, elem_id="generate"
            )
            cancel = gr.Button(
                "Cancel", interactive=False, scale=1, min_width=96, elem_id="cancel"
            )
        bar = gr.HTML(
            "", js_on_load=PICK, apply_default_css=False, elem_classes="ls-bar", elem_id="bar"
        )
    return bar, compact, generate, cancel
