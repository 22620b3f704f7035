"""``studio replay``: a picture made again from its own plan."""

from contextlib import closing
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, OutputDir, PresetDirs, open_workspace
from studio.cli.parsers import parse_text
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.comparison.replay import NotReplayed, Replayed, ReplayOutcome
from studio.contract.events import Cancelled
from studio.workspace.replaying import find
from studio.workspace.replaying import replay as replayed

_STYLES = {
    ReplayOutcome.IDENTICAL: "good",
    ReplayOutcome.NUMERICS: "good",
    ReplayOutcome.DIFFERENT: "bad",
}


def replay(
    what: Annotated[
        str,
        typer.Argument(
            parser=parse_text,
            metavar="FILE|FINGERPRINT",
            help="A picture, a comparison (every cell of it), or the fingerprint of a plan or a "
            "record.",
        ),
    ],
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Make a picture again from the plan inside it, and say whether it is the same.

    The plan is run as it was recorded; weights are found by their SHA-256 wherever they lie. The
    answer is kept beside the picture, where `studio verify` checks it. With --json, one object a
    picture. Ends with 1 when one is different, or cannot be made again.
    """
    with (
        command(as_json) as console,
        closing(open_workspace(presets, output_dir)) as workspace,
    ):
        wanted = find(workspace, what)
        line, session = ProgressLine(console), workspace.open_session()
        good = []
        with cancelled_by_ctrl_c(console) as cancel:
            for event in replayed(workspace, wanted, session, cancel):
                if isinstance(event, Cancelled):
                    line.end()
                    raise Ended(ExitCode.CANCELLED)
                if isinstance(event, Replayed | NotReplayed):
                    line.end()
                    good.append(_say(console, event))
                else:
                    line.show(event)
        if not all(good):
            raise Ended(ExitCode.FAILURE)


def _say(console: Console, event: Replayed | NotReplayed) -> bool:
    if console.as_json:
        console.data(_data(event))
    if isinstance(event, NotReplayed):
        console.say(f"{console.paint('not replayed', 'bad')}  {event.picture}")
        console.say(f"  {event.words}")
        return False
    outcome = event.record.outcome
    console.say(f"{console.paint(outcome.value, _STYLES[outcome])}  {event.picture}")
    console.say(f"  {event.record.words}")
    console.say(f"  Kept as evidence: {event.evidence}")
    return outcome is not ReplayOutcome.DIFFERENT


def _data(event: Replayed | NotReplayed) -> dict[str, Any]:
    if isinstance(event, Replayed):
        return {
            "file": str(event.picture),
            "outcome": event.record.outcome.value,
            "words": event.record.words,
            "evidence": str(event.evidence),
            "replay": event.record.model_dump(mode="json"),
        }
    return {
        "file": str(event.picture),
        "outcome": "not replayed",
        "words": event.words,
        "missing": [
            {
                "what": each.what,
                "sha256": each.sha256,
                "source": each.source or None,
                "called": each.called,
            }
            for each in event.lost
        ],
    }
