"""The Gallery tab: every picture, and behind each its contract and receipt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.address import PageAddress
from studio.ui.assets import TELLING, chosen, picked
from studio.ui.clients import page_of
from studio.ui.compare.tab import CompareTab
from studio.ui.gallery import layout, mine, replay
from studio.ui.gallery.asked import GalleryInput
from studio.ui.gallery.events import GalleryEvents, is_comparison, strengths_of
from studio.ui.gallery.layout import Buttons, GalleryParts
from studio.ui.html import gallery as grid
from studio.ui.html.tags import EMPTY
from studio.ui.sessions import Sessions
from studio.ui.studio.live import Updates
from studio.ui.studio.tab import StudioTab, quick
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Others:
    """The tabs that a picture can be taken to."""

    studio: StudioTab
    compare: CompareTab
    place: PageAddress


def build(
    workspace: Workspace,
    sessions: Sessions,
    others: Others,
    tab: gr.Tab,
    reviewer: gr.BrowserState,
) -> None:
    """Lay the tab out and wire it; call inside ``tab``."""
    parts, buttons = layout.build(workspace.settings.is_public)
    events = GalleryEvents(workspace, parts)
    private = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    if workspace.settings.is_public:
        mine.build(workspace, sessions, private)
    _wire_list(parts, events, tab, private)
    _wire_open(parts, events, others, private)
    _wire_picture(parts, buttons, events, private)
    _wire_use(parts, buttons, events, others, private)
    _wire_cell(parts, events, others, private)
    again = (buttons.replay, buttons.stop)
    replay.wire(workspace, sessions, again, parts.opened, parts.said)
    given = [parts.opened, parts.tell, parts.form]
    buttons.publish.click(events.publish, inputs=given, outputs=parts.said, **private)
    events.review.wire(reviewer, private)
    _wire_desk(parts, events, reviewer, private)


def _wire_use(
    parts: GalleryParts,
    buttons: Buttons,
    events: GalleryEvents,
    others: Others,
    private: dict[str, Any],
) -> None:
    """A picture's settings, taken to Studio or to Compare."""
    studio, tabs = others.studio, others.place.tabs

    def fill(request: gr.Request, opened: str, *sent: Any) -> Updates:
        values, problem = events.settings_of(opened)
        if values is None:
            return {parts.said: grid.said(problem, bad=True)}
        form = studio.events.panel.form.values(sent)
        return studio.events.fill({**form, **values}, page_of(request))

    def use(request: gr.Request, opened: str, *sent: Any) -> Updates:
        filled = fill(request, opened, *sent)
        return filled if parts.said in filled else filled | {tabs: gr.Tabs(selected="studio")}

    def compare(opened: str) -> Updates:
        # Last: choosing the tab plans what its fields say by then, and nothing may change after.
        values, _ = events.settings_of(opened)
        return {tabs: gr.skip() if values is None else gr.Tabs(selected="compare")}

    given = {
        "inputs": [parts.opened, *studio.inputs],
        "outputs": [tabs, parts.said, *studio.outputs],
    }
    buttons.use.click(**quick(studio, use, **given))
    filled = parts.against.click(**quick(studio, fill, **given))
    asked = others.compare.against_base(filled)
    asked.then(compare, inputs=parts.opened, outputs=tabs, **private)


def _wire_cell(
    parts: GalleryParts, events: GalleryEvents, others: Others, private: dict[str, Any]
) -> None:
    """The right cell of a comparison: its settings or its strengths in Studio, or itself here."""
    studio, tabs, cell = others.studio, others.place.tabs, others.compare.events.parts

    def fill(request: gr.Request, strengths: bool, name: str, *sent: Any) -> Updates:
        form = studio.events.panel.form.values(sent)
        values, problem = events.settings_of(name)
        if values is not None and strengths:
            values, problem = strengths_of(values, form)
        if values is None:
            return {cell.notice: grid.said(problem, bad=True)}
        filled = studio.events.fill({**form, **values}, page_of(request))
        return filled | {tabs: gr.Tabs(selected="studio"), cell.notice: EMPTY}

    def opened(name: str) -> Updates:
        return events.open(name) | {tabs: gr.Tabs(selected="gallery")}

    given = {
        "inputs": [cell.review.picture, *studio.inputs],
        "outputs": [tabs, cell.notice, *studio.outputs],
    }

    def use(request: gr.Request, *sent: Any) -> Updates:
        return fill(request, False, *sent)

    def strength(request: gr.Request, *sent: Any) -> Updates:
        return fill(request, True, *sent)

    cell.use.click(**quick(studio, use, **given))
    cell.strength.click(**quick(studio, strength, **given))
    cell.open.click(opened, inputs=cell.review.picture, outputs=[*parts.all(), tabs], **private)


def _asking(handler: Callable[[GalleryInput], Updates]) -> Callable[..., Updates]:
    """``handler`` as gradio calls it, for ``GalleryParts.inputs``."""

    def called(*sent: Any) -> Updates:
        return handler(GalleryInput(*sent))

    return called


def _reading(
    events: GalleryEvents, handler: Callable[[GalleryInput], Updates]
) -> Callable[..., Updates]:
    """As ``_asking``, of the gallery that is asked for; only what changes nothing may be."""

    def called(*sent: Any) -> Updates:
        asked = GalleryInput(*sent)
        with events.shelf(asked):
            return handler(asked)

    return called


def _wire_list(
    parts: GalleryParts, events: GalleryEvents, tab: gr.Tab, private: dict[str, Any]
) -> None:
    shown = {"inputs": parts.inputs(), "outputs": parts.all(), **private}

    def narrow(event: gr.EventData, *sent: Any) -> Updates:
        pages = events.pages
        return _reading(events, pages.enter if event.target is tab else pages.first)(*sent)

    chosen = (parts.base, parts.lora, parts.mode, parts.standing, parts.by, parts.order)
    # One event: of two, the answer that is older could come last and stay.
    changed = [*(part.input for part in chosen), parts.words.change, tab.select]
    gr.on(changed, narrow, **shown, trigger_mode="always_last")
    parts.whose.input(_reading(events, events.pages.enter), **shown)
    parts.older.click(_reading(events, events.pages.next), **shown)
    parts.newer.click(_reading(events, events.pages.previous), **shown)
    parts.to.submit(_reading(events, events.pages.go), **shown)


def _wire_desk(
    parts: GalleryParts,
    events: GalleryEvents,
    reviewer: gr.BrowserState,
    private: dict[str, Any],
) -> None:
    """Decisions on many pictures at once, and a critic's scores."""

    def decide(event: gr.EventData, name: str | None, typed: str, *sent: Any) -> Updates:
        by = (typed or name or "").strip()
        decided = events.pages.decide(GalleryInput(*sent), picked(event), chosen(event), by)
        return decided | {reviewer: by, parts.review.by: by}

    given = [reviewer, parts.by_name, *parts.inputs()]
    parts.grid.decide(decide, inputs=given, outputs=[reviewer, *parts.all()], **private, **TELLING)
    parts.scores.upload(events.pages.take_scores, parts.scores, outputs=parts.all(), **private)
    reviewer.change(
        lambda typed, name: typed or name or "",
        inputs=[parts.by_name, reviewer],
        outputs=parts.by_name,
        **private,
    )


def _wire_open(
    parts: GalleryParts, events: GalleryEvents, others: Others, private: dict[str, Any]
) -> None:
    """A picture opens here, a comparison in the Compare tab."""
    compare, place = others.compare, others.place

    def open_item(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        name = picked(event)
        if is_comparison(name):
            return compare.open(name, page_of(request)) | {place.tabs: gr.Tabs(selected="compare")}
        with events.shelf(GalleryInput(*sent)):
            return events.open(name)

    def visit(named: Mapping[str, str], _request: gr.Request, *sent: Any) -> Updates:
        asked = GalleryInput(*sent)
        with events.shelf(asked, named):
            return events.visit(asked, named)

    shown = [*parts.all(), place.tabs, *compare.outputs]
    parts.grid.pick(open_item, inputs=parts.inputs(), outputs=shown, **private, **TELLING)
    place.on_visit("gallery", visit, parts.inputs(), parts.all())


def _wire_picture(
    parts: GalleryParts, buttons: Buttons, events: GalleryEvents, private: dict[str, Any]
) -> None:
    shown = {"inputs": parts.inputs(), "outputs": parts.all(), **private}

    def show_lora(event: gr.EventData, *sent: Any) -> Updates:
        return events.show_lora(picked(event), GalleryInput(*sent))

    parts.lora_preview.pick(show_lora, **shown, **TELLING)
    for button, handler in (
        (buttons.back, events.back),
        (buttons.previous, events.open_previous),
        (buttons.next, events.open_next),
        (buttons.verify, events.verify),
    ):
        button.click(_reading(events, handler), **shown)
    for button, change in (
        (parts.share, events.share),
        (buttons.delete, events.ask),
        (buttons.keep, events.keep),
        (buttons.really, events.delete),
    ):
        button.click(_asking(change), **shown)
