"""The options that say what a trial is to find out."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli.options import Json, OutputDir, PresetDirs, open_workspace, slug_of
from studio.cli.parsers import parse_text, strength_list
from studio.comparison.axes import AS_CHOSEN, AxisName
from studio.comparison.axis_text import parse_values
from studio.contract.request import Overrides
from studio.workspace.trial_design import TrialWanted
from studio.workspace.workspace import Workspace


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
            finer=tuple(map(str, parse_values(AxisName.FINER, self.finer_strengths))),
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

    def open_workspace(self) -> Workspace:
        return open_workspace(self.presets, self.output_dir)
