"""Replay: a picture, or every cell of a comparison, made again from its own plan."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from studio.comparison.replay import NotReplayed, Replayed, ReplayOutcome, ReplayWanted
from studio.contract.events import Cancelled, Failed, Loading, Progress, Queued
from studio.errors import StudioError
from studio.ui.clients import page_of
from studio.ui.html import format
from studio.ui.html.gallery import said
from studio.ui.html.tags import Html, join
from studio.ui.sessions import Sessions
from studio.ui.studio.live import Updates
from studio.workspace.line import AnyEvent
from studio.workspace.replaying import find
from studio.workspace.workspace import Workspace

_SLOW: dict[str, Any] = {
    "show_progress": "hidden",
    "trigger_mode": "once",
    "concurrency_limit": None,
    "api_visibility": "private",
}
"""Of what runs on the device, and says how far it is."""


def wire(
    workspace: Workspace,
    sessions: Sessions,
    buttons: tuple[gr.Button, gr.Button],
    item: gr.State,
    shown: gr.HTML,
) -> None:
    """Have one button replay the item (its name in the gallery) that is open, and one stop it."""
    again, stop = buttons

    def replay(request: gr.Request, name: str) -> Iterator[Updates]:
        yield {stop: gr.Button(visible=True)}
        try:
            wanted = find(workspace, str(workspace.gallery.outputs / name))
            page = page_of(request)
            run_id = sessions.submit(page, wanted)
            for line in _shown(wanted, sessions.watch(page, run_id)):
                yield {shown: line}
        except StudioError as error:
            yield {shown: said(str(error), bad=True)}
        yield {stop: gr.Button(visible=False)}

    def end(request: gr.Request) -> None:
        sessions.cancel(page_of(request), ReplayWanted)

    again.click(replay, inputs=item, outputs=[shown, stop], **_SLOW)
    stop.click(end, api_visibility="private", queue=False)


def _shown(wanted: ReplayWanted, events: Iterator[AnyEvent]) -> Iterator[Html]:
    done: list[Html] = []
    count = len(wanted.pictures)
    for event in events:
        match event:
            case Replayed() | NotReplayed():
                done.append(_answer(event, named=count > 1))
                yield join(done)
            case Queued(ahead=ahead) if ahead:
                yield said(f"Waiting; {format.plural(ahead, 'run')} before this one.")
            case Loading(stage=stage):
                yield join((*done, said(f"Replaying: {stage}")))
            case Progress(step=step, steps=steps):
                yield join((*done, said(f"Replaying: step {step} of {steps}")))
            case Cancelled():
                yield join((*done, said("Cancelled.", bad=True)))
            case Failed(message=message, way_out=way_out):
                yield join((*done, said(f"{message} {way_out}", bad=True)))


def _answer(event: Replayed | NotReplayed, named: bool) -> Html:
    name = f"{event.picture.name}: " if named else ""
    if isinstance(event, NotReplayed):
        return said(name + event.words, bad=True)
    kept = f" Kept as evidence in {event.evidence.name}."
    return said(
        name + event.record.words + kept, bad=event.record.outcome is ReplayOutcome.DIFFERENT
    )
