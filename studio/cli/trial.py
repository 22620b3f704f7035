"""``studio trial``: which checkpoint of a training run, and at which strength."""

import dataclasses
from contextlib import closing
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, OutputDir, PresetDirs, open_workspace, takes_options
from studio.cli.parsers import parse_text
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.cli.trial_files import files
from studio.cli.trial_options import TrialOptions
from studio.cli.trial_sheet import show_card, show_design
from studio.errors import TrialError
from studio.trials.design import TrialDesign
from studio.trials.events import CellBegun, CellOver, RoundOver, TrialEnd, TrialEnded
from studio.trials.proof import broken
from studio.trials.store import StoredTrial
from studio.trials.words import ENDS, strength_name
from studio.workspace.trial_design import TrialWanted
from studio.workspace.trial_plan import TrialForecast
from studio.workspace.trial_report import arm_named, card_of, preset_of, write_card, write_sheet
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace

app = typer.Typer(
    help="Find the checkpoint of a training run to keep, and its strength.", no_args_is_help=True
)
app.command("files")(files)


@app.command()
@takes_options(TrialOptions)
def plan(options: TrialOptions) -> None:
    """Show what a trial would make and what it costs; nothing is generated or kept."""
    with command(options.as_json) as console, closing(options.open_workspace()) as workspace:
        trying = Trying(workspace)
        design = _agreed(console, trying, options.wanted(workspace))
        forecast = trying.forecast(design)
        show_design(console, design, forecast)
        if options.as_json:
            console.data(_design_data(design, forecast))


@app.command()
@takes_options(TrialOptions)
def run(options: TrialOptions) -> None:
    """Begin a trial and run it, until it is decided or its budget is used up.

    It can be stopped at any time and goes on with `studio trial resume`.
    """
    with command(options.as_json) as console, closing(options.open_workspace()) as workspace:
        trying = Trying(workspace)
        design = _agreed(console, trying, options.wanted(workspace))
        show_design(console, design, trying.forecast(design))
        _carry_out(console, workspace, trying, trying.begin(design))


TrialName = Annotated[str, typer.Argument(metavar="NAME", help="As `studio trial list` shows it.")]


@app.command()
def resume(
    name: TrialName,
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Go on with a trial that was stopped."""
    with (
        command(as_json) as console,
        closing(open_workspace(presets, output_dir)) as workspace,
    ):
        trying = Trying(workspace)
        stored = trying.store.open(name)
        design = stored.design()
        _demand_plans(console, trying, design)
        _carry_out(console, workspace, trying, stored)


@app.command()
def report(
    name: TrialName,
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Say what a trial shows so far, and write its sheet. With --json, the whole card."""
    with (
        command(as_json) as console,
        closing(open_workspace(presets, output_dir)) as workspace,
    ):
        stored = Trying(workspace).store.open(name)
        path, card = write_sheet(workspace, stored)
        if as_json:
            console.data({"sheet": str(path), "card": card.model_dump(mode="json")})
        show_card(console, card)
        console.say(str(path))


@app.command()
def take(
    name: TrialName,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="The checkpoint to keep; the best so far.")
    ] = "",
    strength: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="At this strength.")
    ] = None,
    finer_strength: Annotated[
        str | None,
        typer.Option(
            parser=parse_text, metavar="TEXT", help="With this beside it: te=0.4:until=6, or none."
        ),
    ] = None,
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Make a preset of a checkpoint at its strength, and write its card beside the trial.

    A file that lies outside the library is copied into it.
    """
    with (
        command(as_json) as console,
        closing(open_workspace(presets, output_dir)) as workspace,
    ):
        stored = Trying(workspace).store.open(name)
        card = card_of(workspace, stored)
        arm = arm_named(stored.design(), card, checkpoint, strength, finer_strength)
        preset, file = preset_of(workspace, stored, arm)
        card = card.model_copy(update={"chosen": arm})
        paths = write_card(workspace, card, stored.folder, stored.duels())
        if as_json:
            console.data(
                {"preset": preset.slug, "checkpoint": arm.checkpoint, "strength": arm.strength,
                 "finer_strength": arm.finer, "file": str(file),
                 "card": [str(path) for path in paths]}
            )  # fmt: skip
        show_card(console, card)
        at = strength_name(arm.strength, arm.finer)
        console.say(f"{preset.slug} is {file} at strength {at}.")
        for path in paths:
            console.say(str(path))


@app.command("list")
def list_trials(output_dir: OutputDir = None, as_json: Json = False) -> None:
    """The trials in the outputs, the newest first. With --json, one object a trial."""
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        store = Trying(workspace).store
        rows = [("trial", "run", "checkpoints", "pictures", "begun")]
        for name in store.names():
            try:
                stored = store.open(name)
                design = stored.design()
                made = sum(each.pixels is not None for each in stored.results().values())
            except TrialError as error:
                console.complain(error.message, error.way_out)
                continue
            count = str(len(design.checkpoints))
            rows.append((name, design.run, count, str(made), design.created_at))
            if as_json:
                console.data(
                    {"name": name, "run": design.run, "pictures": made,
                     "folder": str(stored.folder), "created_at": design.created_at}
                )  # fmt: skip
        if len(rows) == 1:
            console.note("There are no trials yet; `studio trial run FOLDER` begins one.")
        console.table(rows)


def _agreed(console: Console, trying: Trying, wanted: TrialWanted) -> TrialDesign:
    design = trying.design(wanted)
    _demand_plans(console, trying, design)
    return design


def _demand_plans(console: Console, trying: Trying, design: TrialDesign) -> None:
    violations = trying.violations(design)
    if violations:
        console.refuse(violations)
        raise Ended(ExitCode.VIOLATIONS)


def _design_data(design: TrialDesign, forecast: TrialForecast) -> dict[str, Any]:
    return {
        "fingerprint": design.fingerprint,
        "forecast": dataclasses.asdict(forecast),
        "design": design.model_dump(mode="json"),
    }


def _carry_out(
    console: Console, workspace: Workspace, trying: Trying, stored: StoredTrial
) -> None:
    line, session = ProgressLine(console), workspace.open_session()
    end = TrialEnded(stored.name, TrialEnd.CANCELLED, 0)
    try:
        with cancelled_by_ctrl_c(console) as cancel:
            for event in trying.run(stored, session, cancel):
                match event:
                    case CellBegun() if console.err.isatty():
                        line.show(event.event, f"Picture {event.done + 1} of {event.total}: ")
                    case CellOver(result=result) if result.problem is not None:
                        line.end()
                        console.note(f"{result.cell.key}: {result.problem}")
                    case CellOver():
                        line.write(f"{event.done} of {event.total} pictures of this round")
                    case RoundOver():
                        line.end()
                        count = len(event.round.seeds)
                        seeds = f"{count} seed{'' if count == 1 else 's'}"
                        console.note(
                            f"Round {event.round.number}: {seeds}, {event.inside} still in."
                        )
                    case TrialEnded():
                        end = event
    finally:
        line.end()
        workspace.close_session(session)
    _ended(console, workspace, stored, end)


def _ended(console: Console, workspace: Workspace, stored: StoredTrial, end: TrialEnded) -> None:
    reasons = broken(stored.results())
    if console.as_json:
        console.data(
            {"trial": end.name, "folder": str(stored.folder), "end": end.why.value,
             "pictures": end.pictures, "broken": [each.text for each in reasons]}
        )  # fmt: skip
    console.say(f"{end.pictures} pictures. {ENDS[end.why]}")
    console.say(str(stored.folder))
    if stored.observations():
        path, card = write_sheet(workspace, stored)
        show_card(console, card)
        console.say(str(path))
    if end.why is TrialEnd.CANCELLED:
        console.note(f"Go on with `studio trial resume {end.name}`.")
        raise Ended(ExitCode.CANCELLED)
    if reasons or end.why is TrialEnd.FAILURES:
        raise Ended(ExitCode.FAILURE)
