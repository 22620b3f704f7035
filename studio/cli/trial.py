"""``studio trial``: which checkpoint of a training run, and at which strength."""

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli.compare import strength_list
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import (
    Json,
    OutputDir,
    PresetDirs,
    open_workspace,
    parse_text,
    slug_of,
    takes_options,
)
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.cli.trial_files import files
from studio.comparison.axes import AS_CHOSEN, AxisName
from studio.comparison.axis_text import parse_values
from studio.contract.base import in_time
from studio.contract.request import Overrides
from studio.errors import TrialError
from studio.trials.design import TrialDesign
from studio.trials.events import CellBegun, CellOver, RoundOver, TrialEnd, TrialEnded
from studio.trials.proof import broken
from studio.trials.report.card import EpochCard
from studio.trials.store import StoredTrial
from studio.trials.words import (
    ENDS,
    alarm_texts,
    caveats,
    sentences,
    strength_name,
    strengths_text,
)
from studio.workspace.trial_design import TrialWanted
from studio.workspace.trial_report import (
    arm_named,
    card_of,
    preset_of,
    write_card,
    write_sheet,
)
from studio.workspace.trying import TrialForecast, Trying
from studio.workspace.workspace import Workspace

app = typer.Typer(
    help="Find the checkpoint of a training run to keep, and its strength.", no_args_is_help=True
)
app.command("files")(files)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialOptions:
    """What a trial is to find out; a field is an option of the same name."""

    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER|FILE...", help="The files of one training run."),
    ]
    base: Annotated[
        str,
        typer.Option(
            parser=parse_text, metavar="SLUG|PATH", help="The base; the only one that fits."
        ),
    ] = ""
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A prompt of what was trained, without trigger words; repeatable. "
            "{trigger} marks where they go, else they follow it.",
        ),
    ] = None
    far: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A prompt of something else; repeatable."),
    ] = None
    trigger: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="The trigger words; those of a preset of the files if not given.",
        ),
    ] = None
    negative_prompt: Annotated[
        str, typer.Option(parser=parse_text, metavar="TEXT", help="What no picture should show.")
    ] = ""
    strengths: Annotated[
        str, typer.Option(metavar="NUMBER,NUMBER", help="Each checkpoint is tried at these.")
    ] = "1.0"
    finer_strengths: Annotated[
        str,
        typer.Option(
            parser=parse_text,
            metavar="TEXT,TEXT",
            help="Each strength is tried with each of these: te=0.4:until=6, or none for as it "
            "is.",
        ),
    ] = AS_CHOSEN
    seeds: Annotated[int, typer.Option(min=1, help="Seeds that may be used.")] = 12
    seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0
    images: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="The budget, in pictures.")
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="NUMBER", help="The budget, in minutes of generating."),
    ] = None
    fixed: Annotated[
        bool,
        typer.Option("--fixed", help="Every checkpoint gets every seed, none leaves earlier."),
    ] = False
    by: Annotated[
        str,
        typer.Option(metavar="MEASURE", help="What decides which checkpoints get more seeds."),
    ] = ""
    rule_seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the rule and the intervals.")
    ] = 0
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:CLASS", help="A measure of your own; its code is run; repeatable."
        ),
    ] = None
    holdout: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Pictures that were not trained on; CLIP_MODEL measures the likeness to them.",
        ),
    ] = None
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Pictures that were trained on, to tell what was learnt by heart.",
        ),
    ] = None
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the trial; the training run's if not given.")
    ] = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Name → what was given; each is an option of its own."""
    presets: PresetDirs = None
    output_dir: OutputDir = None
    as_json: Json = False

    def wanted(self, workspace: Workspace) -> TrialWanted:
        return TrialWanted(
            paths=tuple(self.paths),
            base=slug_of(workspace, self.base) if self.base else "",
            subject=tuple(self.prompt or ()),
            far=None if self.far is None else tuple(self.far),
            trigger=self.trigger,
            negative=self.negative_prompt or None,
            strengths=tuple(strength_list(self.strengths)),
            finer=finer_list(self.finer_strengths),
            seeds=self.seeds,
            first_seed=self.seed,
            settings=Overrides.model_validate(self.settings),
            images=self.images,
            minutes=self.minutes,
            fixed=self.fixed,
            by=self.by,
            name=self.name,
            rule_seed=self.rule_seed,
            plugins=tuple(self.measure or ()),
            holdout=self.holdout,
            training=self.training,
        )


def finer_list(text: str) -> tuple[str, ...]:
    return tuple(map(str, parse_values(AxisName.FINER, text)))


def _opened(options: TrialOptions) -> Workspace:
    return open_workspace(options.presets, options.output_dir)


@app.command()
@takes_options(TrialOptions)
def plan(options: TrialOptions) -> None:
    """Show what a trial would make and what it costs; nothing is generated or kept."""
    with command(options.as_json) as console, closing(_opened(options)) as workspace:
        trying = Trying(workspace)
        design = _agreed(console, trying, options.wanted(workspace))
        forecast = trying.forecast(design)
        _show(console, design, forecast)
        if options.as_json:
            console.data(_design_data(design, forecast))


@app.command()
@takes_options(TrialOptions)
def run(options: TrialOptions) -> None:
    """Begin a trial and run it, until it is decided or its budget is used up.

    It can be stopped at any time and goes on with `studio trial resume`.
    """
    with command(options.as_json) as console, closing(_opened(options)) as workspace:
        trying = Trying(workspace)
        design = _agreed(console, trying, options.wanted(workspace))
        _show(console, design, trying.forecast(design))
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
        _say(console, card)
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
        _say(console, card)
        at = strength_name(arm.strength, arm.finer)
        console.say(f"{preset.slug} is {file} at strength {at}.")
        for path in paths:
            console.say(str(path))


def _say(console: Console, card: EpochCard) -> None:
    for text in card.invalid:
        console.say(console.paint("Not proven: ", "bad") + text)
    for text in sentences(card.findings):
        console.say(text)
    for text in alarm_texts(card.findings):
        console.say(console.paint("Alarm: ", "bad") + text)
    for text in caveats(card.findings):
        console.say(console.paint(text, "faint"))


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


def _show(console: Console, design: TrialDesign, forecast: TrialForecast) -> None:
    rule = design.rule
    console.fields(
        [
            ("Trial", f"{design.name}, {design.fingerprint}"),
            ("Base", design.base),
            ("Files", ", ".join(each.name for each in design.checkpoints)),
            *(
                ("Equal", f"{each.name} holds the same weights as {each.same_as}")
                for each in design.checkpoints
                if each.same_as is not None
            ),
            *(
                ("Inert", f"{each.name} changes nothing; its pictures are the base's")
                for each in design.checkpoints
                if each.inert
            ),
            ("Strengths", strengths_text(design)),
            ("Trigger", design.trigger or "none"),
            *(("Prompt", f"{each.name} {each.kind}: {each.text}") for each in design.prompts),
            ("Rounds", f"{', '.join(map(str, rule.rounds))} seeds, decided by "
             + ", ".join(goal.measure for goal in rule.goals)),
            ("Pictures", f"{forecast.first} in the first round ({forecast.found} in the gallery "
             f"already), {forecast.most} at most"),
            ("Estimate", "none yet; this base has made no picture here"
             if forecast.seconds is None else f"{in_time(forecast.seconds)} at most"),
        ]
    )  # fmt: skip


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
        _say(console, card)
        console.say(str(path))
    if end.why is TrialEnd.CANCELLED:
        console.note(f"Go on with `studio trial resume {end.name}`.")
        raise Ended(ExitCode.CANCELLED)
    if reasons or end.why is TrialEnd.FAILURES:
        raise Ended(ExitCode.FAILURE)
