"""The Trials tab: the trials there are on the left, one of them or a new one on the right."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from studio.comparison.votes import ShownSide
from studio.errors import StudioError
from studio.trials.store import TrialStore
from studio.trials.tournament import Duel
from studio.ui.address import PageAddress
from studio.ui.assets import TELLING, picked
from studio.ui.studio.live import Updates
from studio.ui.trials import form, layout, voting
from studio.ui.trials.events import TrialEvents
from studio.ui.trials.form import TrialInput
from studio.ui.trials.voting import TrialVotes
from studio.workspace.runs import Runs
from studio.workspace.trial_desk import TrialDesk
from studio.workspace.trial_report import SHEET, write_sheet
from studio.workspace.workspace import Workspace

_CARD = re.compile(r"[\w .()-]{1,200}\.card\.(json|md|html)")
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
LONG: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": None,
    "trigger_mode": "once",
}


@dataclass(frozen=True, slots=True)
class TrialsTab:
    """What other tabs need of this one."""

    events: TrialEvents
    outputs: list[Any]

    def try_of(self, slug: str, tabs: gr.Tabs) -> Iterator[Updates]:
        """The training run that a LoRA's file is of, taken to this tab."""
        for updates in self.events.try_file(slug):
            yield updates | {tabs: gr.Tabs(selected="trials")}


def build(
    workspace: Workspace, runs: Runs, tab: gr.Tab, place: PageAddress, reviewer: gr.BrowserState
) -> TrialsTab:
    """Lay the tab out and wire it; call inside ``tab``. Never on a page for strangers: a trial
    reads any file that is named, and takes hours."""
    with gr.Row(elem_classes="ls-studio ls-trials-tab"):
        with gr.Column(scale=3, min_width=260, elem_classes="ls-request") as side:
            left = layout.build_list()
        with gr.Column(scale=10, min_width=320, elem_classes="ls-compared"):
            asked = form.build()
            parts = layout.build_opened(left)
            ballot = voting.build()
    events = TrialEvents(workspace, TrialDesk(workspace, runs), parts, asked)
    made = TrialsTab(events, [*parts.all(), *asked.all()])
    _wire_list(made, tab, place)
    _wire_new(made)
    _wire_trial(made)
    votes = TrialVotes(events.desk, ballot, (side, parts.view), parts.said)
    _wire_votes(made, votes, side, reviewer)
    return made


def _wire_list(made: TrialsTab, tab: gr.Tab, place: PageAddress) -> None:
    parts, events = made.events.parts, made.events
    shown = {**QUIET, "outputs": made.outputs}

    def visit(named: Mapping[str, str], _request: gr.Request, opened: str) -> Updates:
        return events.visit(named, opened)

    def pick(event: gr.EventData) -> Updates:
        return events.show(picked(event))

    tab.select(events.enter, inputs=parts.opened, **shown, trigger_mode="always_last")
    place.on_visit("trials", visit, [parts.opened], made.outputs)
    parts.list.pick(pick, **shown, **TELLING)
    parts.new.click(events.new, **shown)


def _wire_new(made: TrialsTab) -> None:
    events, asked = made.events, made.events.asked
    long = {**LONG, "outputs": made.outputs}

    def pick(event: gr.EventData) -> Iterator[Updates]:
        yield from events.pick(picked(event))

    def cost(*sent: Any) -> Updates:
        return events.cost(TrialInput(*sent))

    def begin(costed: TrialInput | None, *sent: Any) -> Updates:
        return events.begin(TrialInput(*sent), costed)

    asked.runs.pick(pick, **long)
    gr.on([asked.look.click, asked.place.submit], events.look, inputs=asked.place, **long)
    gr.on(
        list(asked.edited()),
        cost,
        inputs=asked.inputs(),
        outputs=[asked.cost, asked.begin, asked.costed],
        **QUIET,
        trigger_mode="always_last",
    )
    asked.begin.click(begin, inputs=[asked.costed, *asked.inputs()], **long)


def _wire_trial(made: TrialsTab) -> None:
    parts, events = made.events.parts, made.events
    shown = {**QUIET, "outputs": made.outputs}
    parts.timer.tick(
        events.look_again,
        inputs=[parts.opened, parts.seen],
        **shown,
        trigger_mode="once",
    )
    parts.stop.click(events.stop, inputs=parts.opened, **shown)
    parts.go_on.click(events.go_on, inputs=parts.opened, **shown)
    parts.take.click(
        events.take, inputs=[parts.opened, parts.arm], **{**LONG, "outputs": parts.said}
    )


def _wire_votes(
    made: TrialsTab, votes: TrialVotes, side: gr.Column, reviewer: gr.BrowserState
) -> None:
    parts, events, ballot = made.events.parts, made.events, votes.parts
    shown = {**QUIET, "outputs": [*parts.all(), *ballot.all(), side]}

    def start(name: str, typed: str | None, known: str | None) -> Updates:
        by = (typed or known or "").strip()
        return votes.start(name, by) | {parts.by: by, reviewer: by}

    def on(chosen: ShownSide) -> Callable[[str, Duel | None], Updates]:
        def choose(name: str, duel: Duel | None) -> Updates:
            updates = votes.choose(name, duel, chosen)
            over = updates.get(ballot.duel, duel) is None and duel is not None
            return events.look_again(name, "") | updates if over else updates

        return choose

    def stop(name: str) -> Updates:
        return votes.end() | events.look_again(name, "")

    parts.judge.click(
        start,
        inputs=[parts.opened, parts.by, reviewer],
        **{**shown, "outputs": [*shown["outputs"], reviewer]},
    )
    sides: tuple[tuple[gr.Button, ShownSide], ...] = (
        (ballot.first, "first"),
        (ballot.equal, "equal"),
        (ballot.second, "second"),
    )
    for button, which in sides:
        button.click(on(which), inputs=[parts.opened, ballot.duel], **shown, trigger_mode="once")
    ballot.stop.click(stop, inputs=parts.opened, **shown)


def routes(workspace: Workspace) -> list[Route]:
    """Where a trial's sheet and cards are given: ``trials/NAME/FILE``. None on a page for
    strangers."""
    if workspace.settings.is_public:
        return []

    def endpoint(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        try:
            stored = TrialStore(workspace.gallery.outputs).open(name)
            if file == SHEET:
                path, _ = write_sheet(workspace, stored)
            elif _CARD.fullmatch(file) and (stored.folder / file).is_file():
                path = stored.folder / file
            else:
                return PlainTextResponse("There is no such file.\n", status_code=404)
        except StudioError as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        return FileResponse(path, filename=path.name)

    return [Route("/trials/{name}/{file}", endpoint, methods=["GET"])]
