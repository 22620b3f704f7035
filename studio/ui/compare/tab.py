"""The Compare tab: what varies on the left; verdict, cells and a closer look on the right."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from studio.comparison.axes import ComparisonRequest, Question
from studio.settings import Settings
from studio.ui.address import PageAddress
from studio.ui.assets import TELLING, picked
from studio.ui.clients import client_of, page_of
from studio.ui.compare import blind_vote, layout
from studio.ui.compare import form as compare_panel
from studio.ui.compare.blind_vote import BlindParts, CompareBlind
from studio.ui.compare.events import CompareEvents
from studio.ui.compare.form import AXIS_VALUES, CompareInput
from studio.ui.gallery import replay
from studio.ui.sessions import Sessions
from studio.ui.studio import form
from studio.ui.studio.live import Updates
from studio.ui.studio.tab import StudioTab
from studio.workspace.workspace import Workspace

PRIVATE: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "queue": False,
}
_BEGIN = f"(axis) => ({json.dumps(AXIS_VALUES)})[axis] ?? ''"


@dataclass(frozen=True, slots=True)
class CompareTab:
    """What other tabs need of this one; ``ran`` is the event after a comparison."""

    events: CompareEvents
    blind: CompareBlind
    studio: StudioTab
    outputs: list[Any]
    ran: Any = None

    def open(self, name: str, page: str) -> Updates:
        """Show a stored comparison."""
        return self.with_vote(self.events.open(name, page))

    def close(self) -> Updates:
        """Show none."""
        return self.with_vote(self.events.look.closed())

    def with_vote(self, updates: Updates) -> Updates:
        """Whatever changes which comparison is shown, its blind vote comes with it."""
        shown = updates.get(self.events.parts.stored)
        return updates if shown is None else updates | self.blind.offered(shown)

    def against_base(self, filled: Any) -> Any:
        """Once ``filled`` has put a picture's settings into Studio's form, ask of that picture
        what the LoRA did; returns the event, for what comes after it."""
        panel = self.events.panel

        def ask(request: gr.Request, *sent: Any) -> Updates:
            values, asked = _split(self.studio, sent)
            kind, hold = Question.BASE_AGAINST_LORA.value, self.events.must_hold(values)
            asked = replace(asked, kind=kind, seeds=1, hold=hold, fresh=False)
            updates = self.events.refresh(values, asked, page_of(request))
            said = {panel.kind: kind, panel.seeds: 1, panel.hold: hold, panel.fresh: False}
            return updates | said

        inputs = [*self.studio.inputs, *panel.inputs()]
        outputs = [*panel.shown(), panel.hold, panel.fresh]
        return filled.then(ask, inputs=inputs, outputs=outputs, **PRIVATE)

    def resume(self, page: str) -> Iterator[Updates]:
        for updates in self.events.resume(page):
            yield self.with_vote(updates)


def build(
    workspace: Workspace,
    sessions: Sessions,
    studio: StudioTab,
    tab: gr.Tab,
    place: PageAddress,
    reviewer: gr.BrowserState,
) -> CompareTab:
    """Lay the tab out and wire it; call inside ``tab``."""
    with gr.Row(elem_classes="ls-studio ls-compare"):
        with gr.Column(scale=4, min_width=300, elem_classes="ls-request") as left:
            panel = compare_panel.build()
        with gr.Column(scale=9, min_width=320, elem_classes="ls-compared"):
            with gr.Column(elem_classes="ls-compared") as whole:
                parts = layout.build()
            blind_parts = blind_vote.build()
    events = CompareEvents(workspace, sessions, panel, parts)
    blind = CompareBlind(workspace, blind_parts, (left, whole, blind_parts.offer))
    outputs = [*panel.shown(), *parts.all(), *blind_parts.all(), left, whole]
    made = CompareTab(events, blind, studio, outputs)
    _wire_panel(made, studio, tab, place.tabs)
    made = replace(made, ran=_wire_run(made, studio))
    _wire_look(made, reviewer)
    again = (parts.replay, parts.stop)
    replay.wire(workspace, sessions, again, parts.stored, parts.said)
    _wire_blind(made, blind_parts, workspace.settings)
    _wire_address(made, place)
    _wire_recall(made, studio, place.tabs)
    return made


def _wire_address(made: CompareTab, place: PageAddress) -> None:
    parts = made.events.parts

    def visit(named: Mapping[str, str], request: gr.Request, stored: str) -> Updates:
        name = named.get("comparison", "")
        if name == stored:
            return {}
        return made.open(name, page_of(request)) if name else made.close()

    place.on_visit("compare", visit, [parts.stored], made.outputs)


def _split(studio: StudioTab, sent: tuple[Any, ...]) -> tuple[form.Values, CompareInput]:
    """The values of Studio's form, and of the panel."""
    count = len(studio.inputs)
    return studio.events.panel.form.values(sent[:count]), CompareInput(*sent[count:])


def _wire_panel(made: CompareTab, studio: StudioTab, tab: gr.Tab, tabs: gr.Tabs) -> None:
    panel, events = made.events.panel, made.events
    inputs = [*studio.inputs, *panel.inputs()]

    def refresh(request: gr.Request, *sent: Any) -> Updates:
        return events.refresh(*_split(studio, sent), page_of(request))

    quick = {**PRIVATE, "inputs": inputs, "outputs": panel.shown(), "trigger_mode": "always_last"}
    edited = [panel.kind, panel.columns, panel.rows, panel.hold, panel.fresh]
    written = [panel.strengths, panel.column_values, panel.row_values, panel.pages, panel.seeds]
    # One event: of two, the answer that is older could come last and stay.
    asking = [*(part.input for part in edited), *(part.change for part in written), tab.select]
    gr.on(asking, refresh, **quick)
    axes = ((panel.columns, panel.column_values), (panel.rows, panel.row_values))
    for axis, values in axes:
        # Values of another axis would be wrong by kind. Not by ``input``, which a dropdown tells
        # once more when it is left; and in the browser, because an answer of the studio could
        # come when values are typed already, and wipe them away.
        axis.select(None, inputs=axis, outputs=values, js=_BEGIN, **PRIVATE)
    _wire_loras(made, studio, quick)
    panel.edit.click(lambda: gr.Tabs(selected="studio"), outputs=tabs, **PRIVATE)


def _wire_recall(made: CompareTab, studio: StudioTab, tabs: gr.Tabs) -> None:
    """A contact sheet was dropped, and Studio's form has its request: ask its comparison again."""
    panel, compared = made.events.panel, studio.recalled.compared

    def ask(request: gr.Request, text: str, *sent: Any) -> Updates:
        if not text:
            return {panel.kind: gr.skip()}
        values, before = _split(studio, sent)
        asked = CompareInput.of_wanted(ComparisonRequest.model_validate_json(text), before)
        updates = made.events.refresh(values, asked, page_of(request))
        return {
            getattr(panel, each.name): getattr(asked, each.name) for each in fields(CompareInput)
        } | {part: update for part, update in updates.items() if part is not panel.kind}

    def choose(text: str) -> Updates:
        # Last: choosing the tab plans what its fields say by then.
        return {tabs: gr.Tabs(selected="compare") if text else gr.skip()}

    inputs = [compared, *studio.inputs, *panel.inputs()]
    outputs = [*panel.inputs(), *(each for each in panel.shown() if each not in panel.inputs())]
    for recalled in studio.recalls:
        asked = recalled.then(ask, inputs=inputs, outputs=outputs, **PRIVATE)
        asked.then(choose, inputs=compared, outputs=tabs, **PRIVATE)


def _wire_loras(made: CompareTab, studio: StudioTab, quick: dict[str, Any]) -> None:
    panel, events = made.events.panel, made.events

    def choose(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        values, asked = _split(studio, sent)
        asked = replace(asked, other=picked(event).partition(" ")[2])
        return events.refresh(values, asked, page_of(request))

    def along(event: gr.EventData) -> str:
        return ", ".join(events.known(picked(event).split()[1:]))

    panel.choose.pick(choose, **{**quick, **TELLING})
    # The field then tells that it has changed.
    for button, field in (
        (panel.column_loras, panel.column_values),
        (panel.row_loras, panel.row_values),
    ):
        button.pick(along, outputs=field, **PRIVATE, **TELLING)


def _wire_run(made: CompareTab, studio: StudioTab) -> Any:
    panel, events = made.events.panel, made.events
    inputs = [*studio.inputs, *panel.inputs()]

    def run(request: gr.Request, *sent: Any) -> Iterator[Updates]:
        for updates in events.run(*_split(studio, sent), page_of(request)):
            yield made.with_vote(updates)

    def after(request: gr.Request, *sent: Any) -> Updates:
        return events.after_run(*_split(studio, sent), page_of(request))

    def cancel(request: gr.Request) -> Updates:
        return events.cancel(page_of(request))

    ran = panel.compare.click(
        run,
        inputs=inputs,
        outputs=made.outputs,
        show_progress="hidden",
        trigger_mode="once",
        concurrency_limit=None,
        api_visibility="private",
    )
    panel.cancel.click(cancel, outputs=[panel.cancel], **PRIVATE)
    shown = [*panel.shown(), events.parts.notice]
    return ran.then(after, inputs=inputs, outputs=shown, **PRIVATE)


def _wire_look(made: CompareTab, reviewer: gr.BrowserState) -> None:
    parts, look = made.events.parts, made.events.look
    shown = {**PRIVATE, "outputs": parts.all()}
    pair = [parts.stored, parts.left, parts.right]

    def pick(event: gr.EventData, stored: str, left: int | None) -> Updates:
        return look.pick(stored, picked(event), left)

    def delete(stored: str) -> Updates:
        return made.with_vote(look.delete(stored))

    def turn(event: gr.EventData, request: gr.Request) -> Updates:
        return made.open(picked(event), page_of(request))

    parts.seal.pick(turn, outputs=made.outputs, **PRIVATE, **TELLING)
    parts.grid.pick(pick, inputs=[parts.stored, parts.left], **shown, **TELLING)
    gr.on([parts.left.input, parts.right.input], look.pair, inputs=pair, **shown)
    parts.view.input(look.view, inputs=parts.view, **shown)
    look.review.wire(reviewer, PRIVATE)
    parts.verify.click(look.verify, inputs=parts.stored, **shown)
    parts.delete.click(lambda: gr.Row(visible=True), outputs=parts.confirm, **PRIVATE)
    parts.keep.click(lambda: gr.Row(visible=False), outputs=parts.confirm, **PRIVATE)
    parts.really.click(delete, inputs=parts.stored, **PRIVATE, outputs=made.outputs)


def _wire_blind(made: CompareTab, blind: BlindParts, settings: Settings) -> None:
    votes, stored = made.blind, made.events.parts.stored
    shown = {**PRIVATE, "outputs": made.outputs}
    arms = [stored, blind.first_arm, blind.second_arm]
    gr.on(
        [blind.first_arm.input, blind.second_arm.input],
        votes.chosen,
        inputs=arms,
        outputs=blind.result,
        **PRIVATE,
    )
    blind.start.click(votes.start, inputs=arms, **shown)
    for button, side in ((blind.first, "first"), (blind.equal, "equal"), (blind.second, "second")):
        button.click(_on(votes, side, settings), inputs=blind.test, **shown)
    blind.stop.click(votes.end, inputs=blind.test, **shown)


def _on(votes: CompareBlind, side: Any, settings: Settings) -> Any:
    """The handler of one button; a closure, because gradio reads the signature."""

    def chosen(request: gr.Request, test: Any) -> Updates:
        return votes.vote(test, side, client_of(request, settings))

    return chosen
