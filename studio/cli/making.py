"""``studio plan``, ``generate`` and ``recall``: the one path from request to picture."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli import compare
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.downloads import get
from studio.cli.options import (
    Json,
    OutputDir,
    PresetDirs,
    RequestOptions,
    open_workspace,
    takes_request_options,
)
from studio.cli.progress import RunOutcome, carry_out
from studio.cli.sheet import show_plan, show_receipt
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
from studio.errors import RecallError
from studio.imaging.png import MAX_TEXT
from studio.recall.request import Recalled
from studio.workspace.recalling import RecalledComparison, recall_file, recall_text
from studio.workspace.workspace import Workspace


@takes_request_options
def plan(options: RequestOptions) -> None:
    """Show exactly what a run would do, or everything that stands in its way."""
    with command(options.as_json) as console, closing(options.open_workspace()) as workspace:
        agreed = _agree(console, workspace, options.request(workspace))
        if options.as_json:
            console.data(_plan_data(agreed))
        show_plan(console, agreed)


@takes_request_options
def generate(options: RequestOptions) -> None:
    """Make the images of a request, each with its contract and receipt inside.

    Weights that are missing are fetched first, if nothing else stands in the way; see
    AUTO_DOWNLOAD.
    """
    with command(options.as_json) as console, closing(options.open_workspace()) as workspace:
        agreed = _agree(console, workspace, options.request(workspace), fetches=True)
        show_plan(console, agreed)
        _report(console, carry_out(console, workspace, agreed))


def recall(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            allow_dash=True,
            help="A PNG, JPEG or WebP of this studio, A1111, Forge, SD.Next, ComfyUI, InvokeAI, "
            "Fooocus, SwarmUI or CivitAI; - reads a parameters text from standard input.",
        ),
    ],
    make: Annotated[
        bool, typer.Option("--generate", help="Make the picture, and not only its plan.")
    ] = False,
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Begin from a picture: say what it was made of, what of that is here, and the plan.

    LoRAs and bases are found by hash before name, and how is said. Only a record of this studio is
    called verified; everything else is as the file says. The contact sheet of a comparison asks it
    again. With --json, one object a line: what was found, then the plan or what was made.
    """
    with (
        command(as_json) as console,
        closing(open_workspace(presets, output_dir)) as workspace,
    ):
        found = _recalled(workspace, file)
        if as_json:
            console.data(_recalled_data(found))
        _say_recalled(console, found)
        if not found.request.base:
            raise Ended(ExitCode.VIOLATIONS)
        if isinstance(found, RecalledComparison) and found.wanted is not None:
            compare.ask(console, workspace, found.wanted, plan_only=not make)
            return
        agreed = _agree(console, workspace, found.request, fetches=make)
        if as_json and not make:
            console.data(_plan_data(agreed))
        show_plan(console, agreed)
        if make:
            _report(console, carry_out(console, workspace, agreed))


def _recalled(workspace: Workspace, file: Path) -> Recalled:
    if str(file) == "-":
        return recall_text(workspace, sys.stdin.read(MAX_TEXT))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RecallError(
            f"{file} cannot be read: {error.strerror or error}.", "Give another file."
        ) from error
    return recall_file(workspace, data)


def _recalled_data(found: Recalled) -> dict[str, Any]:
    return {
        "tool": found.said.tool,
        "verified": found.verified,
        "request": found.request.model_dump(mode="json"),
        "comparison": found.wanted.model_dump(mode="json")
        if isinstance(found, RecalledComparison) and found.wanted is not None
        else None,
        "matched": [
            {"name": each.said.name, "slug": each.slug, "by": each.by.value}
            for each in found.matched
        ],
        "missing": [
            {"name": each.said.name, "reason": each.reason, "way_out": each.way_out}
            for each in found.missing
        ],
        "left": list(found.left),
    }


def _say_recalled(console: Console, found: Recalled) -> None:
    whole = "verified" if found.verified else "as the file says"
    console.say(f"{console.paint(found.said.tool, 'strong')}, {whole}")
    for each in found.matched:
        console.say(f"  {each.said.name or 'the base'} is {each.slug}, known by its {each.by}.")
    for missing in found.missing:
        console.complain(missing.reason, missing.way_out)
    for sentence in found.left:
        console.say(f"  {sentence}")
    console.say()


def _agree(
    console: Console, workspace: Workspace, request: GenerationRequest, fetches: bool = False
) -> RunPlan:
    """The plan, or the end of the command with every violation said.

    Where weights are all that is missing, a run that ``fetches`` gets them first.
    """
    answer = workspace.plan(request)
    if not isinstance(answer, RunPlan) and fetches:
        for missing in workspace.stock.missing(answer):
            get(console, workspace, workspace.stock.plan_download(missing.preset.slug))
            answer = workspace.plan(request)
    if isinstance(answer, RunPlan):
        return answer
    console.refuse(answer)
    raise Ended(ExitCode.VIOLATIONS)


def _plan_data(agreed: RunPlan) -> dict[str, Any]:
    return {"fingerprint": agreed.fingerprint} | agreed.model_dump(mode="json")


def _report(console: Console, outcome: RunOutcome) -> None:
    """Every finished image, also of a run that broke or was cancelled later."""
    if console.as_json:
        console.data(_outcome_data(outcome))
    for finished in outcome.finished:
        show_receipt(console, finished)
    if outcome.failed:
        console.complain(outcome.failed.message, outcome.failed.way_out)
        raise Ended(ExitCode.FAILURE)
    if outcome.cancelled:
        console.note("Cancelled.")
        raise Ended(ExitCode.CANCELLED)


def _outcome_data(outcome: RunOutcome) -> dict[str, Any]:
    records = [finished.record.model_dump(mode="json") for finished in outcome.finished]
    data: dict[str, Any] = {
        "images": [str(finished.path) for finished in outcome.finished],
        "record": records[0] if records else None,
        "records": records,
    }
    if outcome.failed:
        data["error"] = {
            "code": outcome.failed.code,
            "message": outcome.failed.message,
            "way_out": outcome.failed.way_out,
        }
    if outcome.cancelled:
        data["cancelled"] = True
    return data
