"""The Models tab: every preset, whether its weights are there, and what it says."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.architecture import TRAITS, Architecture
from studio.errors import StudioError
from studio.inspecting import Inspector
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.settings import BUILT_IN_PRESETS
from studio.ui import inspect_panel, tables
from studio.ui.choices import holds_words
from studio.ui.html import Html, div, join
from studio.ui.rows import PICK, picked
from studio.workspace import Workspace


def build(workspace: Workspace, tab: gr.Tab, public: bool) -> None:
    """Lay the tab out and wire it; call inside ``tab``.

    Args:
        public: strangers can open the page.
    """
    inspector = Inspector(workspace)
    with gr.Column(elem_classes="ls-library"):
        if workspace.problems:
            gr.HTML(tables.problems(workspace.problems), apply_default_css=False)
        with gr.Row(elem_classes="ls-filters ls-two"):
            words = gr.Textbox(label="Find", placeholder="words in name, trigger or notes")
            architecture = gr.Dropdown(
                [("All", ""), *_architectures(workspace.catalog)],
                value="",
                label="Architecture",
                interactive=True,
                min_width=140,
            )
        chosen = gr.State("")
        with gr.Row(elem_classes="ls-detail"):
            with gr.Column(scale=7, min_width=300):
                rows = gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_id="catalogue")
            with gr.Column(scale=5, min_width=300, elem_classes="ls-aside-column"):
                details = gr.HTML(
                    tables.nothing_picked(), apply_default_css=False, elem_id="preset"
                )
                inspect_panel.build(inspector, public)

    def show(words: str, architecture: str, chosen: str) -> Html:
        return _tables(workspace, words or "", architecture or "", chosen)

    def open_row(event: gr.EventData, words: str, architecture: str) -> tuple[Html, Html, str]:
        slug = picked(event)
        return show(words, architecture, slug), _details(workspace, inspector, slug), slug

    narrowed = [words, architecture]
    look: dict[str, Any] = {
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    last = {**look, "trigger_mode": "always_last"}
    gr.on(
        [tab.select, words.change, architecture.input],
        show,
        inputs=[*narrowed, chosen],
        outputs=rows,
        **last,
    )
    rows.pick(open_row, inputs=narrowed, outputs=[rows, details, chosen], **look)


def _architectures(catalog: Catalog) -> list[tuple[str, str]]:
    used = {model.base_architecture for model in catalog.models.values()}
    return [
        (TRAITS[family].label, family.value)
        for family in Architecture
        if family in used or catalog.loras_for(family)
    ]


def _tables(workspace: Workspace, words: str, architecture: str, chosen: str) -> Html:
    wanted = words.lower().split()
    models = [
        model
        for model in workspace.catalog.models.values()
        if _fits(model, architecture) and _model_holds(model, wanted)
    ]
    loras = [
        lora
        for lora in workspace.catalog.loras.values()
        if _fits(lora, architecture) and holds_words(lora, wanted)
    ]
    try:
        present = workspace.present()
    except StudioError as error:
        return tables.failed(str(error))
    # What can be used at once comes first, else in the order of the files.
    models.sort(key=lambda model: not present[model.slug])
    loras.sort(key=lambda lora: not present[lora.slug])
    return div(
        "ls-tables",
        tables.models(models, present, chosen),
        tables.loras(loras, present, chosen),
    )


def _fits(preset: ModelPreset | LoraPreset, architecture: str) -> bool:
    return not architecture or preset.base_architecture.value == architecture


def _model_holds(model: ModelPreset, wanted: list[str]) -> bool:
    text = f"{model.label} {model.slug} {model.notes}".lower()
    return all(word in text for word in wanted)


def _details(workspace: Workspace, inspector: Inspector, slug: str) -> Html:
    preset = workspace.catalog.models.get(slug) or workspace.catalog.loras.get(slug)
    if preset is None:
        return tables.nothing_picked()
    place = _place(workspace.expected_at(slug), workspace.settings.model_base_path)
    details = tables.details(preset, workspace.present()[slug], place)
    if isinstance(preset, ModelPreset):
        return details
    return join((details, inspect_panel.of_lora(inspector, slug)))


def _place(path: Path, base: Path) -> str:
    """Where weights belong, without the machine's own folders: a page can be public."""
    for root, name in ((BUILT_IN_PRESETS, "presets"), (base, "MODEL_BASE_PATH")):
        if path.is_relative_to(root):
            return f"{name}/{path.relative_to(root).as_posix()}"
    return path.name
