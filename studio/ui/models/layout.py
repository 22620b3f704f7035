"""The Models tab's components, and what the browser says of them."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from studio.ui.assets import PICK
from studio.ui.html import preset_tables
from studio.ui.models import filter, inspect
from studio.ui.models import form as preset_form
from studio.ui.models.filter import PresetFilter
from studio.ui.models.form import PresetForm
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace

EVERY = 0.7
"""Seconds between two looks at a download that goes on."""


@dataclass(frozen=True, slots=True)
class ModelsInput:
    """What the browser sends with every event of the tab.

    Attributes:
        view: ``table`` or ``cards``.
        chosen: the slug that is open, empty for none.
        seen: how the downloads stood when the list was last drawn.
        editing: (``loras`` or ``models``, the slug that is edited; empty for a new one).
        before: the edited preset's entry.
    """

    words: str
    architecture: str
    theme: str
    weights: str
    page: int
    view: str
    chosen: str
    seen: str
    source: str
    editing: tuple[str, str]
    before: dict[str, Any]

    def wanted(self, page: int | None = None) -> PresetFilter:
        """What the filters ask for, on ``page`` or the one that is shown."""
        return PresetFilter(
            self.words or "",
            self.architecture or "",
            self.theme or "",
            self.weights or "",
            self.page if page is None else page,
        )


@dataclass(frozen=True, slots=True)
class ModelsParts:
    """The tab's components; ``chosen``, ``page``, ``seen``, ``editing``, ``before`` are states."""

    problems: gr.HTML
    words: gr.Textbox
    architecture: gr.Dropdown
    theme: gr.Dropdown
    weights: gr.Dropdown
    view: gr.Radio
    new: gr.Button
    rows: gr.HTML
    pager: gr.Row
    previous: gr.Button
    pages: gr.HTML
    next: gr.Button
    use: gr.Button
    try_run: gr.Button
    details: gr.HTML
    actions: gr.Row
    download: gr.Button
    cancel: gr.Button
    edit: gr.Button
    remove: gr.Button
    confirm: gr.Row
    really: gr.Button
    keep: gr.Button
    transfer: gr.HTML
    form_view: gr.Column
    source_row: gr.Row
    source: gr.Textbox
    look_up: gr.Button
    said: gr.HTML
    fields: gr.Column
    form: PresetForm
    save: gr.Button
    save_and_fetch: gr.Button
    close: gr.Button
    chosen: gr.State
    page: gr.State
    seen: gr.State
    editing: gr.State
    before: gr.State
    timer: gr.Timer

    def inputs(self) -> list[Any]:
        """What ``ModelsInput`` holds, in its order; then the form's fields."""
        return [*(getattr(self, each.name) for each in fields(ModelsInput)), *self.form.inputs()]

    def outputs(self) -> list[Any]:
        """Everything a handler may change."""
        own = [getattr(self, each.name) for each in fields(self) if each.name != "form"]
        return [*own, *self.form.inputs(), *self.form.lora, *self.form.model]


def build(workspace: Workspace, inspector: Inspector, public: bool) -> ModelsParts:
    """Lay the tab out inside the current one.

    Args:
        public: strangers can open the page: they may look, and change nothing.
    """
    named: dict[str, Any] = {
        "chosen": gr.State(""),
        "page": gr.State(0),
        "seen": gr.State(""),
        "editing": gr.State(("loras", "")),
        "before": gr.State({}),
        "timer": gr.Timer(EVERY, active=False),
    }
    with gr.Column(elem_classes="ls-library"):
        named["problems"] = gr.HTML(
            preset_tables.problems(workspace.problems), apply_default_css=False
        )
        named |= _filters(workspace, public)
        with gr.Row(elem_classes="ls-detail"):
            with gr.Column(scale=7, min_width=300):
                named["rows"] = gr.HTML(
                    "", js_on_load=PICK, apply_default_css=False, elem_id="catalogue"
                )
                named |= _pager()
            with gr.Column(scale=5, min_width=300, elem_classes="ls-aside-column"):
                named |= _form()
                with gr.Row(elem_classes="ls-tight"):
                    named["use"] = gr.Button(
                        "Use in Studio",
                        visible=False,
                        size="sm",
                        min_width=120,
                        elem_id="use-in-studio",
                    )
                    named["try_run"] = gr.Button(
                        "Try this run",
                        visible=False,
                        size="sm",
                        min_width=120,
                        elem_id="try-run",
                    )
                named["details"] = gr.HTML(
                    preset_tables.nothing_picked(), apply_default_css=False, elem_id="preset"
                )
                named |= _actions()
                inspect.build(inspector, public)
    return ModelsParts(**named)


def _filters(workspace: Workspace, public: bool) -> dict[str, Any]:
    named: dict[str, Any] = {}
    with gr.Row(elem_classes="ls-filters ls-models-filters"):
        named["words"] = gr.Textbox(label="Find", placeholder="words", min_width=120)
        for name, label, choices in (
            ("architecture", "Architecture", filter.architectures(workspace.catalog)),
            ("theme", "Theme", [(name, name) for name in filter.all_themes(workspace.catalog)]),
            ("weights", "Weights", list(filter.WEIGHTS[1:])),
        ):
            named[name] = gr.Dropdown(
                [("All", ""), *choices], value="", label=label, interactive=True, min_width=100
            )
        named["view"] = gr.Radio(
            [("Table", "table"), ("Cards", "cards")],
            value="table",
            label="View",
            elem_classes="ls-segments",
            min_width=120,
        )
        named["new"] = gr.Button(
            "Add a preset", visible=not public, scale=0, min_width=120, elem_id="add-preset"
        )
    return named


def _pager() -> dict[str, Any]:
    with gr.Row(visible=False, elem_classes="ls-paging") as pager:
        previous = gr.Button("Previous", size="sm", scale=0, min_width=90)
        pages = gr.HTML("", apply_default_css=False, elem_classes="ls-origin")
        following = gr.Button("Next", size="sm", scale=0, min_width=90)
    return {"pager": pager, "previous": previous, "pages": pages, "next": following}


def _actions() -> dict[str, Any]:
    with gr.Row(visible=False, elem_classes="ls-preset-actions") as actions:
        download = gr.Button(
            "Download", variant="primary", size="sm", min_width=96, elem_id="download"
        )
        cancel = gr.Button(
            "Cancel download", visible=False, size="sm", min_width=96, elem_id="cancel-download"
        )
        edit = gr.Button("Edit preset", size="sm", min_width=90)
        remove = gr.Button("Remove preset", visible=False, size="sm", min_width=90)
    with gr.Row(visible=False, elem_classes="ls-confirm") as confirm:
        gr.HTML("This removes the preset. The weights file is kept.", apply_default_css=False)
        really = gr.Button("Remove it", variant="stop", size="sm", scale=0, min_width=90)
        keep = gr.Button("Keep it", size="sm", scale=0, min_width=80)
    transfer = gr.HTML("", apply_default_css=False, elem_id="transfer")
    return {
        "actions": actions,
        "download": download,
        "cancel": cancel,
        "edit": edit,
        "remove": remove,
        "confirm": confirm,
        "really": really,
        "keep": keep,
        "transfer": transfer,
    }


def _form() -> dict[str, Any]:
    with gr.Column(visible=False, elem_classes="ls-preset-form", elem_id="preset-form") as view:
        with gr.Row(elem_classes="ls-named") as source_row:
            source = gr.Textbox(
                label="Link, AIR, repository or file",
                placeholder="https://civitai.com/models/…?modelVersionId=…",
                scale=4,
                max_lines=1,
                max_length=500,
            )
            look_up = gr.Button("Look it up", min_width=100, scale=0)
        said = gr.HTML("", apply_default_css=False)
        with gr.Column(visible=False, elem_classes="ls-preset-fields") as columns:
            form = preset_form.build()
            with gr.Row(elem_classes="ls-tight"):
                save = gr.Button("Save preset", variant="primary", size="sm", min_width=90)
                save_and_fetch = gr.Button("Save and download", size="sm", min_width=110)
        close = gr.Button("Close", size="sm", elem_classes="ls-quiet")
    return {
        "form_view": view,
        "source_row": source_row,
        "source": source,
        "look_up": look_up,
        "said": said,
        "fields": columns,
        "form": form,
        "save": save,
        "save_and_fetch": save_and_fetch,
        "close": close,
    }
