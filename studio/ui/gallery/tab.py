"""The Gallery tab: every picture, and behind each its contract and receipt."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.compare.tab import CompareTab
from studio.ui.gallery import review as review_panel
from studio.ui.gallery.events import GalleryEvents, is_comparison
from studio.ui.gallery.review import ReviewParts
from studio.ui.html import gallery as grid
from studio.ui.js.pick import PICK, picked
from studio.ui.studio.tab import KEEP_OPEN, StudioTab, page_of, quick
from studio.workspace.workspace import Workspace

ALL = ""


@dataclass(frozen=True, slots=True)
class GalleryParts:
    """The tab's components; ``pages`` holds where each page of the grid began."""

    base: gr.Dropdown
    lora: gr.Dropdown
    mode: gr.Dropdown
    words: gr.Textbox
    count: gr.HTML
    list_view: gr.Column
    grid: gr.HTML
    newer: gr.Button
    older: gr.Button
    pages: gr.State
    picture_view: gr.Column
    picture: gr.HTML
    contract: gr.HTML
    said: gr.HTML
    actions: gr.Row
    confirm: gr.Row
    review: ReviewParts
    opened: gr.State

    def filters(self) -> list[Any]:
        return [self.base, self.lora, self.mode, self.words]

    def all(self) -> list[Any]:
        own = [getattr(self, name) for name in self.__slots__ if name != "review"]
        return [*own, *self.review.all()]


@dataclass(frozen=True, slots=True)
class _Buttons:
    back: gr.Button
    use: gr.Button
    against: gr.Button
    verify: gr.Button
    delete: gr.Button
    really: gr.Button
    keep: gr.Button


@dataclass(frozen=True, slots=True)
class Others:
    """The tabs that a picture can be taken to."""

    studio: StudioTab
    compare: CompareTab
    tabs: gr.Tabs


def build(workspace: Workspace, others: Others, tab: gr.Tab, may_delete: bool) -> None:
    """Lay the tab out and wire it; call inside ``tab``."""
    parts, buttons = _layout(may_delete)
    events = GalleryEvents(workspace, parts, may_delete)
    private = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    _wire_list(parts, events, tab, private)
    _wire_open(parts, events, others, private)
    _wire_picture(parts, buttons, events, private)
    _wire_use(parts, buttons, events, others)
    events.review.wire(private)


def _wire_use(
    parts: GalleryParts, buttons: _Buttons, events: GalleryEvents, others: Others
) -> None:
    """A picture's settings, taken to Studio or to Compare."""
    studio, tabs = others.studio, others.tabs

    def fill(request: gr.Request, selected: str, opened: str, sent: Any) -> dict[Any, Any]:
        values, problem = events.settings_of(opened)
        if values is None:
            return {parts.said: grid.said(problem, bad=True)}
        form = studio.events.panel.form.values(sent)
        filled = studio.events.fill({**form, **values}, page_of(request))
        return filled | {tabs: gr.Tabs(selected=selected)}

    def use(request: gr.Request, opened: str, *sent: Any) -> dict[Any, Any]:
        return fill(request, "studio", opened, sent)

    def against(request: gr.Request, opened: str, *sent: Any) -> dict[Any, Any]:
        return fill(request, "compare", opened, sent)

    given = {
        "inputs": [parts.opened, *studio.inputs],
        "outputs": [tabs, parts.said, *studio.outputs],
    }
    buttons.use.click(**quick(studio, use, **given))
    filled = buttons.against.click(**quick(studio, against, **given))
    others.compare.against_base(filled)


def _layout(may_delete: bool) -> tuple[GalleryParts, _Buttons]:
    with gr.Column(elem_classes="ls-library") as list_view:
        with gr.Row(elem_classes="ls-filters"):
            base = _filter("Base")
            lora = _filter("LoRA")
            mode = _filter("Mode")
            words = gr.Textbox(
                label="Find", placeholder="words in prompts, names or seed", min_width=160
            )
            count = gr.HTML("", apply_default_css=False, elem_classes="ls-count")
        thumbs = gr.HTML(
            "", js_on_load=PICK, apply_default_css=False, elem_id="gallery", min_height=200
        )
        with gr.Row(elem_classes="ls-paging"):
            newer = gr.Button("Newer", size="sm", visible=False, min_width=90, scale=0)
            older = gr.Button("Older", size="sm", visible=False, min_width=90, scale=0)
    with gr.Column(visible=False, elem_classes="ls-library", elem_id="opened") as picture_view:
        back = gr.Button("Back to all pictures", size="sm", elem_classes="ls-quiet ls-back")
        with gr.Row(elem_classes="ls-detail"):
            with gr.Column(scale=6, min_width=300, elem_classes="ls-left"):
                picture = gr.HTML("", apply_default_css=False)
                with gr.Row(elem_classes="ls-tight") as actions:
                    use = gr.Button("Use these settings", variant="primary", scale=2)
                    # As wide as its words, and wrapped as a whole where there is no room.
                    against = gr.Button("Compare with base", min_width=190, scale=2)
                    verify = gr.Button("Verify", min_width=90)
                    delete = gr.Button("Delete", min_width=90, visible=may_delete)
                with gr.Row(visible=False, elem_classes="ls-tight ls-confirm") as confirm:
                    gr.HTML(
                        "Delete this picture and its record? They cannot be brought back.",
                        apply_default_css=False,
                    )
                    keep = gr.Button("Keep it", size="sm", min_width=90, scale=0)
                    really = gr.Button(
                        "Delete picture", size="sm", variant="stop", min_width=120, scale=0
                    )
                said = gr.HTML("", apply_default_css=False)
            with gr.Column(scale=6, min_width=300):
                contract = gr.HTML("", js_on_load=KEEP_OPEN, apply_default_css=False)
                review = review_panel.build("review")
    parts = GalleryParts(
        base=base,
        lora=lora,
        mode=mode,
        words=words,
        count=count,
        list_view=list_view,
        grid=thumbs,
        newer=newer,
        older=older,
        pages=gr.State(()),
        picture_view=picture_view,
        picture=picture,
        contract=contract,
        said=said,
        actions=actions,
        confirm=confirm,
        review=review,
        opened=gr.State(""),
    )
    return parts, _Buttons(back, use, against, verify, delete, really, keep)


def _filter(label: str) -> gr.Dropdown:
    return gr.Dropdown([("All", ALL)], value=ALL, label=label, interactive=True, min_width=140)


def _wire_list(
    parts: GalleryParts, events: GalleryEvents, tab: gr.Tab, private: dict[str, Any]
) -> None:
    listed = {"outputs": parts.all(), **private}
    last = {**listed, "trigger_mode": "always_last"}
    tab.select(events.enter, inputs=[*parts.filters(), parts.opened], **listed)
    changed = [parts.base.input, parts.lora.input, parts.mode.input, parts.words.change]
    gr.on(changed, events.first, inputs=parts.filters(), **last)
    paging = [*parts.filters(), parts.pages]
    parts.older.click(events.older, inputs=paging, **listed)
    parts.newer.click(events.newer, inputs=paging, **listed)


def _wire_open(
    parts: GalleryParts, events: GalleryEvents, others: Others, private: dict[str, Any]
) -> None:
    """A picture opens here, a comparison in the Compare tab."""
    compare, tabs = others.compare, others.tabs

    def open_item(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        name = picked(event)
        if is_comparison(name):
            return compare.open(name, page_of(request)) | {tabs: gr.Tabs(selected="compare")}
        return events.open(name)

    parts.grid.pick(open_item, outputs=[*parts.all(), tabs, *compare.outputs], **private)


def _wire_picture(
    parts: GalleryParts, buttons: _Buttons, events: GalleryEvents, private: dict[str, Any]
) -> None:
    shown = {"outputs": parts.all(), **private}
    again = [*parts.filters(), parts.pages]
    buttons.back.click(events.back, inputs=again, **shown)
    buttons.verify.click(events.verify, inputs=parts.opened, **shown)
    buttons.delete.click(events.ask, **shown)
    buttons.keep.click(events.keep, **shown)
    buttons.really.click(events.delete, inputs=[parts.opened, *again], **shown)
