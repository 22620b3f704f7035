"""The trials of a studio as its page has them: what there is to try, what runs, how each stands.

A trial belongs to the studio and not to a page: it has a line of its own among the runs, so that
it goes on when every page is closed, and pictures that somebody asks for meanwhile take turns
with its own.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.events import Failed
from studio.errors import StudioError, TrialError
from studio.settings import BUILT_IN_PRESETS
from studio.storage.atomic import Stamp, stamp_of
from studio.trials.design import TrialDesign, most_pictures
from studio.trials.events import CellBegun, TrialEnded
from studio.trials.proof import controls_done
from studio.trials.store import StoredTrial
from studio.trials.training_run import TrainingRun
from studio.workspace.line import RunState, Standing
from studio.workspace.runs import Runs
from studio.workspace.trial_files import AlikeFiles, newest_runs, the_run
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace

if TYPE_CHECKING:
    from studio.trials.rounding import BaseRows
    from studio.trials.weights import CheckpointWeights

OWNER = "trials"
"""Of the line that trials have among the runs."""
MINI = BUILT_IN_PRESETS / "mini" / "trial"
"""The run of six checkpoints that comes with the studio."""
OFFERED = 8
"""Runs of the library that are offered, the newest."""
_KNOWN_RUNS = 4
"""Runs whose files' weights are kept in mind."""

FileStamps = tuple[tuple[str, Stamp], ...]


class TrialState(StrEnum):
    """How a trial stands, for its mark on the page."""

    RUNNING = "running"
    WAITING = "waiting"
    ELSEWHERE = "running elsewhere"
    STOPPED = "stopped"
    OVER = "over"

    @property
    def is_going(self) -> bool:
        return self in (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True, slots=True)
class TrialStanding:
    """A trial as it stands.

    Attributes:
        pictures: that are there; ``most`` how many there can be.
        failed: that could not be made.
        ended: how its last run here ended; None where none has since the studio began.
        begun: what is being made now.
    """

    name: str
    design: TrialDesign
    state: TrialState
    pictures: int
    most: int
    failed: int
    ended: TrialEnded | None = None
    begun: CellBegun | None = None


class TrialDesk:
    """Begins, stops and finds trials; safe for several threads."""

    def __init__(self, workspace: Workspace, runs: Runs) -> None:
        self._workspace = workspace
        self._runs = runs
        self.trying = Trying(workspace)
        self._lock = threading.Lock()
        self._alike = AlikeFiles(())
        self._told: dict[FileStamps, tuple[str, tuple[CheckpointWeights, ...]]] = {}
        self._counted: dict[str, tuple[Stamp | None, int, int, bool]] = {}

    # What there is to try

    def offered(self) -> tuple[TrainingRun, ...]:
        """The run that comes with the studio, then those of the library, the newest first. Only
        headers are read, of files whose names or claims are alike."""
        holdings = self._workspace.stock.catalogue.holdings
        # The studio's own is offered anyhow, and is a file of the library once it was tried.
        others = [each for each in holdings if not Path(each.held.name).is_relative_to(MINI)]
        return (the_run([MINI]), *newest_runs(others, OFFERED))

    def run_of(self, path: Path) -> TrainingRun | None:
        """The run that a file of the library is of, where others of it lie there too."""
        holdings = self._workspace.stock.catalogue.holdings
        with self._lock:
            if self._alike.of is not holdings:
                self._alike = AlikeFiles(holdings)
            return self._alike.run(path)

    def paths_of(self, text: str) -> tuple[Path, ...]:
        """The files that somebody types: a folder, a file, or a pattern such as ``run-*``; below
        the library's folders where it is no whole path.

        Raises:
            TrialError: there is none.
        """
        typed = Path(text.strip()).expanduser()
        roots = self._workspace.settings.library_folders
        for whole in [typed] if typed.is_absolute() else [root / typed for root in roots]:
            if has_magic(str(whole)):
                anchor = Path(whole.anchor)
                found = tuple(sorted(anchor.glob(str(whole.relative_to(anchor)))))
            else:
                found = (whole,) if text.strip() and whole.exists() else ()
            if found:
                return found
        raise TrialError(
            f"Nothing lies at {text.strip()!r}.",
            "Type the folder that a trainer saved into, or a pattern such as run-*.safetensors.",
        )

    def told(
        self, run: TrainingRun, base: "BaseRows | None" = None
    ) -> Iterator[int | tuple["CheckpointWeights", ...]]:
        """What the run's files hold: how many are read, then all of it; once for each state of
        the files and each base that is asked for.

        Args:
            base: that they would be merged into; None takes what is known with any.

        Raises:
            WeightsError, LoraRefused: one cannot be used.
        """
        from studio.trials.weights import weights_of  # torch

        stamps = tuple((str(each.path), _stamp(Path(each.path))) for each in run.checkpoints)
        of, known = self._told.get(stamps, ("", None))
        if known is None or (base is not None and of != base.label):
            read: list[CheckpointWeights] = []
            for each in weights_of(run, base):
                read.append(each)
                yield len(read)
            known = tuple(read)
            with self._lock:
                self._told[stamps] = ("" if base is None else base.label, known)
                while len(self._told) > _KNOWN_RUNS:
                    self._told.pop(next(iter(self._told)))
        yield known

    # What runs

    def begin(self, design: TrialDesign) -> str:
        """Keep the trial and put it at the end of the trials' line; its name.

        Raises:
            TrialError: there is one of this name already.
            GalleryError: the disk does not take it.
            QueueFull
        """
        stored = self.trying.begin(design)
        self._runs.submit(OWNER, design, previews=False)
        return stored.name

    def go_on(self, name: str) -> None:
        """
        Raises:
            TrialError: there is none of this name, it cannot be read, or it runs already.
            QueueFull
        """
        stored = self.trying.store.open(name)
        if self.standing(name).state.is_going or stored.is_running():
            raise TrialError(f"The trial {name} is running already.", "Wait for it, or stop it.")
        self._runs.submit(OWNER, stored.design(), previews=False)

    def stop(self, name: str) -> bool:
        """Stop it within a step; whether it ran or waited here."""
        going = self._going(name)
        return going is not None and self._runs.cancel(OWNER, going.run_id)

    def _standings(self, name: str) -> list[Standing]:
        return [
            each
            for each in self._runs.of(OWNER)
            if isinstance(each.plan, TrialDesign) and each.plan.name == name
        ]

    def _going(self, name: str) -> Standing | None:
        return next((each for each in self._standings(name) if not each.state.is_over), None)

    # How they stand

    def all(self) -> tuple[tuple[TrialStanding, ...], tuple[TrialError, ...]]:
        """Every trial, the newest first, and why others cannot be read."""
        found, problems = list[TrialStanding](), list[TrialError]()
        for name in self.trying.store.names():
            try:
                found.append(self.standing(name))
            except TrialError as error:
                problems.append(error)
        return tuple(found), tuple(problems)

    def standing(self, name: str) -> TrialStanding:
        """
        Raises:
            TrialError: there is none of this name, or it cannot be read.
        """
        stored = self.trying.store.open(name)
        design = stored.design()
        pictures, failed, done = self._count(stored)
        runs = self._standings(name)
        last = runs[-1] if runs else None
        if last is not None and not last.state.is_over:
            running = last.state is RunState.RUNNING
            state = TrialState.RUNNING if running else TrialState.WAITING
        elif stored.is_running():
            state = TrialState.ELSEWHERE
        else:
            state = TrialState.OVER if done and not failed else TrialState.STOPPED
        ended = [e for e in (last.results if last else ()) if isinstance(e, TrialEnded)]
        latest = last.latest if last is not None else None
        return TrialStanding(
            name=name,
            design=design,
            state=state,
            pictures=pictures,
            most=max(most_pictures(design), pictures),
            failed=failed,
            ended=ended[-1] if ended else None,
            begun=latest if isinstance(latest, CellBegun) else None,
        )

    def trouble(self, name: str) -> StudioError | None:
        """Why its last run here broke off, if it did."""
        runs = self._standings(name)
        said = [e for e in (runs[-1].results if runs else ()) if isinstance(e, Failed)]
        return StudioError(said[-1].message, said[-1].way_out) if said else None

    def _count(self, stored: StoredTrial) -> tuple[int, int, bool]:
        """Pictures that are there, that could not be made, and whether its controls were."""
        path = stored.folder / "cells.jsonl"
        stamp = _stamp(path) if path.is_file() else None
        known = self._counted.get(stored.name)
        if known is None or known[0] != stamp:
            results = stored.results()
            made = sum(each.pixels is not None for each in results.values())
            known = (stamp, made, len(results) - made, controls_done(results))
            with self._lock:
                self._counted[stored.name] = known
        return known[1:]


def _stamp(path: Path) -> Stamp:
    return stamp_of(path.stat())
