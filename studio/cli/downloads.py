"""``studio download``: weights from CivitAI and Hugging Face, by preset or by link."""

from contextlib import closing
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace
from studio.cli.parsers import parse_text
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.contract.base import in_bytes, in_time
from studio.library.downloads import (
    Checking,
    DownloadEvent,
    DownloadPlan,
    Fetched,
    Fetching,
    Waiting,
)
from studio.workspace.workspace import Workspace

Sources = Annotated[
    list[str],
    typer.Argument(
        parser=parse_text,
        metavar="WHAT...",
        help="A preset's slug, an AIR, a link to CivitAI or Hugging Face, or owner/name.",
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Show what would be fetched, and fetch nothing.")
]


def download(
    what: Sources, plan: PlanOnly = False, presets: PresetDirs = None, as_json: Json = False
) -> None:
    """Fetch weights, check them and put them in their place.

    With --json, one object a line. A download that was interrupted is resumed.
    """
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        for text in what:
            wanted = workspace.stock.wanted(text)
            fetched = None if plan else get(console, workspace, wanted)
            if plan:
                show_download(console, wanted)
            if as_json:
                console.data(_data(wanted, fetched))


def get(console: Console, workspace: Workspace, plan: DownloadPlan) -> Fetched:
    """Fetch and say so; ends the command where it is cancelled."""
    show_download(console, plan)
    fetched = fetch(console, workspace, plan)
    if fetched is None:
        console.note("Cancelled. The next time goes on from here.")
        raise Ended(ExitCode.CANCELLED)
    said = "It is there already" if fetched.already else "Fetched and checked"
    console.say(f"{said}: {fetched.path}")
    for note in fetched.notes:
        console.say(note)
    if plan.slug is None:
        console.say(f"No preset names it yet: `studio presets add {fetched.path}` makes one.")
    console.say()
    return fetched


def fetch(console: Console, workspace: Workspace, plan: DownloadPlan) -> Fetched | None:
    """Carry a download out, saying how far it is; None where it was cancelled."""
    line = ProgressLine(console)
    try:
        with cancelled_by_ctrl_c(console, "Cancelling; what has come is kept.") as cancel:
            for event in workspace.stock.fetch(plan, cancel):
                if isinstance(event, Fetched):
                    return event
                _show(line, event)
    finally:
        line.end()
    return None


def _show(line: ProgressLine, event: DownloadEvent) -> None:
    match event:
        case Waiting(target=target):
            line.write(f"Waiting for another download of {target}")
        case Checking(file=file):
            line.write(f"Checking what is there of {file}", passing=True)
        case Fetching():
            line.write(_in_words(event), passing=True)


def _in_words(event: Fetching) -> str:
    """ "45.2 MB of 218 MB, 12.3 MB/s, 14 s left: ink.safetensors" """
    parts = [f"{in_bytes(event.done)} of {in_bytes(event.total)}"]
    if event.speed is not None:
        parts.append(f"{in_bytes(round(event.speed))}/s")
    if event.remaining is not None:
        parts.append(f"{in_time(event.remaining)} left")
    return f"{', '.join(parts)}: {event.file}"


def show_download(console: Console, plan: DownloadPlan) -> None:
    """The plan of a download as lines of text."""
    published = plan.published
    rows = [
        ("Download", f"{plan.label}: {plan.describe()}"),
        ("Page", published.page),
        ("Goes to", plan.target),
    ]
    if plan.kind == "model":
        rows += [("File", f"{file.name}, {in_bytes(file.size)}") for file in plan.files]
    if published.base_model:
        rows.append(("Made for", published.base_model))
    if published.trained_words:
        rows.append(("Triggers", ", ".join(published.trained_words)))
    if published.licence:
        rows.append(("Licence", " ".join(published.licence)))
    rows += [("Notice", note) for note in plan.notes]
    if plan.conflict:
        rows.append(("Conflict", plan.conflict))
    console.fields(rows)


def _data(plan: DownloadPlan, fetched: Fetched | None) -> dict[str, Any]:
    data: dict[str, Any] = {"plan": plan.model_dump(mode="json")}
    if fetched is not None:
        data |= {"path": str(fetched.path), "already": fetched.already}
    return data
