"""``studio plan`` and ``studio generate``: the one path from request to picture."""

from contextlib import closing
from typing import Any

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.downloads import get
from studio.cli.options import RequestOptions, takes_request_options
from studio.cli.progress import Outcome, carry_out
from studio.cli.sheet import show_plan, show_receipt
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
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


def _report(console: Console, outcome: Outcome) -> None:
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


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
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
