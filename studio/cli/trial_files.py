"""``studio trial files``: the checkpoints of a training run against one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace, slug_of
from studio.cli.parsers import parse_text
from studio.errors import StudioError, WeightsError
from studio.library.files import read_header
from studio.trials.training_run import TrainedFile, TrainingRun, training_runs
from studio.trials.words import file_remarks
from studio.workspace.trial_rounding import base_rows

if TYPE_CHECKING:
    from studio.trials.rounding import BaseRows
    from studio.trials.weights import CheckpointWeights


def files(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER|FILE...", help="Where a training run saved its LoRAs."),
    ],
    base: Annotated[
        str,
        typer.Option(
            parser=parse_text,
            metavar="SLUG|PATH",
            help="The base that they would be merged into; the only one that fits.",
        ),
    ] = "",
    presets: PresetDirs = None,
    as_json: Json = False,
) -> None:
    """Tell a training run's checkpoints apart by their files alone; no picture is made.

    For each checkpoint: how large its update of the base is, how far it moved from the one
    before, how much of it a merge in bfloat16 would round away where the base is on the disk,
    layers that do nothing or explode, and files that are the same. With --json, one object a run.
    """
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        runs = training_runs(_files(paths))
        if not runs:
            raise WeightsError(
                "No two of these files are checkpoints of one training run.",
                "Give the folder a trainer saved into, or the files by name; a run is known by "
                "its metadata or by names that differ only in step or epoch.",
                paths[0],
            )
        slug = slug_of(workspace, base) if base else ""
        whole = [_show(console, run, base_rows(workspace, run, slug)) for run in runs]
        if not all(whole):
            raise Ended(ExitCode.FAILURE)


def _files(paths: Sequence[Path]) -> Iterator[TrainedFile]:
    for path in paths:
        found = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
        for file in found:
            yield TrainedFile(file.resolve(), read_header(file).metadata)


def _show(console: Console, run: TrainingRun, base: BaseRows | str) -> bool:
    """Whether every checkpoint could be read.

    Args:
        base: that they would be merged into, or why none is told of.
    """
    from studio.trials.weights import weights_of  # torch, which only this command needs

    console.say(console.paint(run.name, "strong"))
    console.say(f"{len(run.checkpoints)} checkpoints. {run.rests_on}")
    told: list[CheckpointWeights] = []
    try:
        for each in weights_of(run, None if isinstance(base, str) else base):
            told.append(each)
    except StudioError as error:
        console.fail(error)
        return False
    if console.as_json:
        console.data(_data(run, told, base))
    names = tuple(dict.fromkeys(name for each in told for name in each.components))
    head = ("when", "norm", *names, "cosine", "moved", "rounded", "file")
    console.table([head, *(_row(each, names) for each in told)])
    console.say(f"rounded: {base if isinstance(base, str) else base.says}")
    for each in told:
        for line in file_remarks(each):
            console.say(f"{each.checkpoint.when}: {line}")
    console.say()
    return True


def _row(each: CheckpointWeights, names: Sequence[str]) -> Sequence[str]:
    parts = (f"{each.components.get(name, 0.0):.4g}" for name in names)
    cosine = "" if each.cosine is None else f"{each.cosine:.4f}"
    moved = "" if each.moved is None else f"{each.moved:.1%}"
    rounded = "" if each.rounded is None else f"{each.rounded:.1%}"
    file = each.checkpoint.path.name
    return (each.checkpoint.when, f"{each.norm:.4g}", *parts, cosine, moved, rounded, file)


def _data(
    run: TrainingRun, told: Sequence[CheckpointWeights], base: BaseRows | str
) -> Mapping[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return value if value is None or isinstance(value, int | float | str) else str(value)

    checkpoints = [plain(asdict(each)) for each in told]
    said = base if isinstance(base, str) else base.says
    return {
        "run": run.name,
        "rests_on": run.rests_on,
        "rounded": said,
        "checkpoints": checkpoints,
    }
