"""The Models tab: every preset, its weights, their download, and the studio's own presets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from studio.ui.address import PageAddress
from studio.ui.assets import TELLING, picked
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.clients import page_of
from studio.ui.models import layout, library
from studio.ui.models.editing import PresetEditing
from studio.ui.models.events import ModelsEvents
from studio.ui.models.layout import ModelsInput, ModelsParts
from studio.ui.models.library import LibraryEvents, LibraryPanel
from studio.ui.studio.live import Updates
from studio.ui.studio.tab import StudioTab, quick
from studio.ui.trials.tab import LONG, TrialsTab
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class OtherTabs:
    """The tabs that a LoRA can be taken to; strangers have no trials."""

    studio: StudioTab
    trials: TrialsTab | None
    place: PageAddress


def build(workspace: Workspace, browser: LoraBrowser, others: OtherTabs, tab: gr.Tab) -> None:
    """Lay the tab out and wire it; call inside ``tab``. Where strangers can open the page, they
    may look, and change nothing."""
    public, place, trials = workspace.settings.is_public, others.place, others.trials
    inspector = Inspector(workspace)
    panel = library.build(public)
    parts = layout.build(workspace, inspector, public)
    run_of = None if trials is None else trials.events.run_of
    events = ModelsEvents(workspace, browser, inspector, parts, run_of, not public)
    quiet: dict[str, Any] = {
        "inputs": parts.inputs(),
        "outputs": parts.outputs(),
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    _wire_list(parts, events, tab, quiet)
    place.on_visit(
        "models",
        lambda named, _request, *sent: events.visit(ModelsInput(*sent[:_SAID]), named),
        parts.inputs(),
        parts.outputs(),
    )
    _wire_preset(parts, PresetEditing(workspace, parts, events), events, quiet)
    _wire_library(panel, LibraryEvents(workspace, panel, browser.shelf, not public), parts, quiet)
    _wire_watch(workspace, panel, parts, events, quiet)
    _wire_use(parts, others.studio, place.tabs)
    if trials is not None:
        _wire_try(parts, trials, place.tabs)


def _wire_use(parts: ModelsParts, studio: StudioTab, tabs: gr.Tabs) -> None:
    form = studio.events.panel.form

    def use(request: gr.Request, slug: str, *sent: Any) -> Updates:
        return studio.loras.use(form.values(sent), slug, page_of(request))

    inputs = [parts.chosen, *studio.inputs]
    used = parts.use.click(**quick(studio, use, inputs=inputs))
    used.then(
        lambda: gr.Tabs(selected="studio"),
        outputs=tabs,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _wire_try(parts: ModelsParts, trials: TrialsTab, tabs: gr.Tabs) -> None:
    def attempt(slug: str) -> Iterator[Updates]:
        yield from trials.try_of(slug, tabs)

    outputs = [*trials.outputs, tabs]
    parts.try_run.click(attempt, inputs=parts.chosen, outputs=outputs, **LONG)


_SAID = len(fields(ModelsInput))


def _asking(handler: Callable[[ModelsInput], Updates]) -> Callable[..., Updates]:
    """``handler`` as gradio calls it, for ``ModelsParts.inputs``."""

    def called(*sent: Any) -> Updates:
        return handler(ModelsInput(*sent[:_SAID]))

    return called


def _wire_list(
    parts: ModelsParts, events: ModelsEvents, tab: gr.Tab, quiet: dict[str, Any]
) -> None:
    def pick(event: gr.EventData, *sent: Any) -> Updates:
        return events.pick(picked(event), ModelsInput(*sent[:_SAID]))

    def narrow(event: gr.EventData, *sent: Any) -> Updates:
        asked = ModelsInput(*sent[:_SAID])
        return events.enter(asked) if event.target is tab else events.turn(asked, 0)

    # One event: of two, the answer that is older could come last and stay.
    filters = [parts.architecture.input, parts.theme.input, parts.weights.input]
    narrowed = [parts.words.change, parts.view.input, *filters, tab.select]
    gr.on(narrowed, narrow, **quiet, trigger_mode="always_last")
    parts.previous.click(_asking(lambda asked: events.turn(asked, asked.page - 1)), **quiet)
    parts.next.click(_asking(lambda asked: events.turn(asked, asked.page + 1)), **quiet)
    parts.rows.pick(pick, **quiet, **TELLING)
    parts.timer.tick(_asking(events.tick), **quiet)
    parts.download.click(_asking(lambda asked: events.download(asked.chosen)), **quiet)
    parts.cancel.click(_asking(events.cancel), **quiet)


def _wire_library(
    panel: LibraryPanel, events: LibraryEvents, parts: ModelsParts, quiet: dict[str, Any]
) -> None:
    own = {**quiet, "inputs": None, "outputs": panel.shown()}
    panel.timer.tick(events.look, **{**own, "inputs": panel.seen})
    panel.rescan.click(events.rescan, **own)
    panel.identify.click(events.identify, **own)
    panel.compare.click(events.compare, **own)
    panel.stop.click(events.stop, **own)
    filters = [parts.words, parts.architecture, parts.theme, parts.weights]
    panel.adopt.click(events.adopt, **{**own, "inputs": filters})


def _wire_watch(
    workspace: Workspace,
    panel: LibraryPanel,
    parts: ModelsParts,
    events: ModelsEvents,
    quiet: dict[str, Any],
) -> None:
    """Draw the list anew when presets or files changed under the open page."""

    def look(before: int, *sent: Any) -> Updates:
        changes = workspace.stock.catalogue.changes
        if changes == before:
            return {panel.changes: gr.skip()}
        return events.enter(ModelsInput(*sent[:_SAID])) | {panel.changes: changes}

    given = {
        "inputs": [panel.changes, *parts.inputs()],
        "outputs": [panel.changes, *parts.outputs()],
    }
    panel.timer.tick(look, **{**quiet, **given})


def _wire_preset(
    parts: ModelsParts, editing: PresetEditing, events: ModelsEvents, quiet: dict[str, Any]
) -> None:
    def save(fetch: bool) -> Callable[..., Updates]:
        def saved(*sent: Any) -> Updates:
            return editing.save(ModelsInput(*sent[:_SAID]), sent[_SAID:], fetch)

        return saved

    parts.new.click(_asking(editing.add), **quiet)
    gr.on([parts.look_up.click, parts.source.submit], _asking(editing.look_up), **quiet)
    parts.edit.click(_asking(editing.edit), **quiet)
    parts.close.click(_asking(editing.close), **quiet)
    parts.remove.click(_asking(editing.ask_remove), **quiet)
    parts.keep.click(_asking(editing.keep), **quiet)
    changed = [parts.really.click(_asking(editing.remove), **quiet)]
    for button, fetch in ((parts.save, False), (parts.save_and_fetch, True)):
        changed.append(button.click(save(fetch), **quiet))
    for each in changed:
        each.then(_asking(events.enter), **quiet)
