"""The training runs that files are of: those that somebody names, and those of the library."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from studio.errors import HeaderError, TrialError, WeightsError
from studio.library.catalogue import Holding
from studio.library.files import read_header
from studio.trials.training_run import (
    Checkpoint,
    TrainedFile,
    TrainingRun,
    run_folder,
    run_name,
    training_runs,
)


def the_run(paths: Sequence[Path]) -> TrainingRun:
    """The one training run that the files are of.

    Raises:
        TrialError: they are of several, or there are fewer than two files.
        HeaderError, WeightsError: one cannot be read.
    """
    files = [TrainedFile(path, read_header(path).metadata) for path in _files(paths)]
    runs = training_runs(files)
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        raise TrialError(
            f"These files are of {len(runs)} training runs: {names}.",
            "Name the files of one of them.",
        )
    if runs:
        return runs[0]
    if len(files) < 2:
        raise TrialError(
            "A trial needs two files or more.", "Give the folder that a trainer saved into."
        )
    checkpoints = tuple(Checkpoint(file.path, None, None) for file in files)
    return TrainingRun(files[0].path.parent.name, checkpoints, "They were named together.")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
        yield from (file.resolve() for file in found)


def newest_runs(holdings: Iterable[Holding], most: int) -> tuple[TrainingRun, ...]:
    """Runs of the library, the newest first. Only headers are read, of files whose names or
    claims are alike."""
    groups: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for holding in holdings:
        path = Path(holding.held.name)
        if holding.held.verdict.kind == "lora" and path.suffix == ".safetensors":
            name = holding.held.verdict.called or run_name(path)
            groups[str(run_folder(path)), name].append(path)
    several = [paths for paths in groups.values() if len(paths) > 1]
    several.sort(key=lambda paths: max(map(_changed, paths)), reverse=True)
    return tuple(run for paths in several[:most] for run in training_runs(_trained(paths)))[:most]


class AlikeFiles:
    """The LoRA files of one state of the library by what their names and headers claim, so that
    asking of which run one is looks at no other run's.

    Attributes:
        of: the holdings that it was made from.
    """

    def __init__(self, of: Sequence[Holding]) -> None:
        self.of = of
        self._claims: dict[Path, tuple[tuple[str, str, str], ...]] = {}
        self._groups: defaultdict[tuple[str, str, str], list[Path]] = defaultdict(list)
        self._runs: dict[Path, TrainingRun | None] = {}
        for each in of:
            if each.held.verdict.kind == "lora":
                path, called = Path(each.held.name), each.held.verdict.called
                folder = str(run_folder(path))
                claims = [("name", folder, run_name(path))]
                claims += [("called", folder, called)] if called else []
                self._claims[path] = tuple(claims)
                for claim in claims:
                    self._groups[claim].append(path)

    def run(self, path: Path) -> TrainingRun | None:
        """The run that a file is of, where others of it are there too; headers are read once."""
        if path not in self._runs:
            claims = self._claims.get(path, ())
            alike = sorted({other for claim in claims for other in self._groups[claim]})
            runs = training_runs(_trained(alike)) if len(alike) > 1 else ()
            of = {Path(each.path): run for run in runs for each in run.checkpoints}
            same = [other for other in alike if self._claims[other] == claims]
            self._runs |= {each: of.get(each.resolve()) for each in (path, *same)}
        return self._runs[path]


def _trained(paths: Sequence[Path]) -> Iterator[TrainedFile]:
    for path in paths:
        try:
            yield TrainedFile(path.resolve(), read_header(path).metadata)
        except (HeaderError, WeightsError):
            continue  # it went since it was seen, or cannot be read: it is no file of a run


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
