"""Runs trials: picture by picture through the workspace, measured as they come, and kept.

A trial can be stopped at any time, even killed, and goes on where it stopped.
"""

import logging
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from studio.contract.events import Cancelled, Failed, Finished, Loading, Progress, Queued, Stalled
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.contract.violations import Violation
from studio.gallery.record_png import decode
from studio.trials.design import CellRole, TrialCell, TrialDesign, cells, controls
from studio.trials.events import (
    CellBegun,
    CellOver,
    RoundOver,
    TrialEnd,
    TrialEnded,
    TrialEvent,
)
from studio.trials.halving import Race, race
from studio.trials.measuring import Measuring, ShowPicture
from studio.trials.store import CellResult, Round, StoredTrial, TrialStore
from studio.workspace.past import Past
from studio.workspace.trial_design import TrialWanted, designed, measures_of
from studio.workspace.trial_plan import Planner, TrialForecast
from studio.workspace.workspace import Workspace

if TYPE_CHECKING:
    from studio.trials.weights import CheckpointWeights

logger = logging.getLogger("studio.workspace.trying")

FAILURES = 5
"""Pictures in a row that could not be made, after which a trial stops."""
_SHOWN = 96
"""Pictures that are kept decoded."""


@dataclass(slots=True)
class _State:
    """A trial while it runs."""

    stored: StoredTrial
    design: TrialDesign
    planner: Planner
    measuring: Measuring
    results: dict[str, CellResult]
    tried: set[str] = field(default_factory=set)
    in_a_row: int = 0
    end: TrialEnd | None = None

    @property
    def pictures(self) -> int:
        return sum(each.pixels is not None for each in self.results.values())

    def has(self, cell: TrialCell) -> bool:
        there = self.results.get(cell.key)
        return there is not None and there.pixels is not None

    def ahead(self, wanted: Iterable[TrialCell]) -> int:
        """How many of these have no picture yet."""
        return sum(not self.has(cell) for cell in wanted)

    @property
    def minutes(self) -> float:
        return sum(each.seconds for each in self.results.values()) / 60


class Trying:
    """Designs, runs and keeps the trials of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._past = Past(workspace)
        self._last: tuple[TrialDesign, Planner] | None = None
        self.store = TrialStore(workspace.gallery.outputs)

    def design(
        self, wanted: TrialWanted, told: "Sequence[CheckpointWeights] | None" = None
    ) -> TrialDesign:
        """See ``designed``."""
        return designed(self._workspace, wanted, told)

    def violations(self, design: TrialDesign) -> tuple[Violation, ...]:
        """What stands in the way of it; it resolves every arm once."""
        return self._planner(design).violations()

    def forecast(self, design: TrialDesign) -> TrialForecast:
        """How many pictures there will be, and about how long they take."""
        return self._planner(design).forecast(self._past)

    def _planner(self, design: TrialDesign) -> Planner:
        """That of the design that was asked about last is kept: it has resolved every arm."""
        if self._last is None or self._last[0] is not design:
            self._last = (design, Planner(self._workspace, design))
        return self._last[1]

    def begin(self, design: TrialDesign) -> StoredTrial:
        """See ``TrialStore.begin``."""
        return self.store.begin(design)

    def run(
        self, stored: StoredTrial, session: str, cancel: threading.Event
    ) -> Generator[TrialEvent, None, None]:
        """Make the pictures that are missing, round by round, until the rule or the budget ends
        it; the last event is ``TrialEnded``.

        Cancelling, or closing the generator, stops within a step; what is finished stays.

        Raises:
            TrialError: it cannot be read, its files are gone, or another process runs it.
            KeyError: the session is not open.
        """
        with stored.alone():
            design = stored.design()
            measures = measures_of(self._workspace, design)
            results = stored.results()
            self._drop_lost(results)
            show = _shown(self._workspace.gallery.outputs)
            measuring = Measuring(design, measures, results, stored.observations(), show)
            planner = Planner(self._workspace, design)
            state = _State(stored, design, planner, measuring, results)
            yield from self._rounds(state, session, cancel)
            why = state.end or TrialEnd.SEEDS
            yield TrialEnded(stored.name, why, state.pictures)

    def _rounds(
        self, state: _State, session: str, cancel: threading.Event
    ) -> Iterator[TrialEvent]:
        design, done = state.design, 0
        zero, again = controls(design)
        noted = len(state.stored.rounds())
        while state.end is None:
            standing = race(design.arms, state.stored.observations(), design.rule, done)
            if done:
                round_ = Round(
                    number=design.rule.rounds.index(done) + 1,
                    seeds=design.rule.seeds[:done],
                    arms=standing.inside,
                    out=standing.out,
                )
                if round_.number > noted:
                    state.stored.add_round(round_)
                yield RoundOver(round_, len(standing.inside))
            if standing.over:
                one = len(standing.inside) == 1
                state.end = TrialEnd.DECIDED if one else TrialEnd.SEEDS
                break
            seeds = self._affordable(state, standing)
            wanted = list(cells(design, standing.inside, seeds))
            of_base = sum(cell.role is CellRole.BASE for cell in wanted)
            yield from self._make_all(
                state, [*wanted[:of_base], zero, *wanted[of_base:]], session, cancel
            )
            if len(seeds) < len(standing.seeds):
                state.end = state.end or TrialEnd.IMAGES
            done = len(seeds)
        if state.end is not TrialEnd.CANCELLED and state.pictures:
            yield from self._make_all(state, [again], session, cancel, last=True)

    def _affordable(self, state: _State, standing: Race) -> tuple[int, ...]:
        """As many of the wanted seeds as fit into the budget, whole ones."""
        design = state.design
        if design.images is None:
            return standing.seeds
        room = design.images - state.pictures - state.ahead(controls(design))
        seeds: list[int] = []
        for seed in standing.seeds:
            ahead = state.ahead(cells(design, standing.inside, [seed]))
            if ahead > room:
                break
            room -= ahead
            seeds.append(seed)
        return tuple(seeds)

    def _make_all(
        self,
        state: _State,
        wanted: Sequence[TrialCell],
        session: str,
        cancel: threading.Event,
        last: bool = False,
    ) -> Iterator[TrialEvent]:
        """
        Args:
            last: it is made although the trial has ended.
        """
        missing = [cell for cell in wanted if cell.key not in state.tried and not state.has(cell)]
        for place, cell in enumerate(missing, start=len(wanted) - len(missing)):
            state.end = self._reason_to_stop(state, cancel) or state.end
            if state.end is not None and not (last and state.end is not TrialEnd.CANCELLED):
                break
            yield from self._make(state, cell, (place, len(wanted)), session, cancel)
            self._observe(state, [cell])
        # Some numbers need pictures that came after theirs.
        self._observe(state, wanted)

    @staticmethod
    def _reason_to_stop(state: _State, cancel: threading.Event) -> TrialEnd | None:
        if cancel.is_set():
            return TrialEnd.CANCELLED
        if state.design.minutes is not None and state.minutes >= state.design.minutes:
            return TrialEnd.MINUTES
        return TrialEnd.FAILURES if state.in_a_row >= FAILURES else None

    def _observe(self, state: _State, wanted: Sequence[TrialCell]) -> None:
        state.stored.add_observations(state.measuring.observe(wanted))

    def _make(
        self,
        state: _State,
        cell: TrialCell,
        so_far: tuple[int, int],
        session: str,
        cancel: threading.Event,
    ) -> Iterator[TrialEvent]:
        done, total = so_far
        plan = state.planner.plan(cell)
        if not isinstance(plan, RunPlan):
            problem = " ".join(found.describe() for found in plan)
            yield self._over(state, CellResult(cell=cell, problem=problem), done, total)
            return
        found = None if cell.role is CellRole.BASE_AGAIN else self._past.found(plan)
        if found is not None:
            path, record = found
            yield self._over(state, self._result(cell, path, record, True), done, total)
            return
        for event in self._workspace.run(plan, session, cancel, previews=False):
            match event:
                case Queued() | Loading() | Progress() | Stalled():
                    yield CellBegun(cell, done, total, event)
                case Finished():
                    result = self._result(cell, event.path, event.record, False)
                    yield self._over(state, result, done, total)
                case Failed():
                    failed = CellResult(cell=cell, problem=f"{event.message} {event.way_out}")
                    yield self._over(state, failed, done, total)
                case Cancelled():
                    state.end = TrialEnd.CANCELLED

    def _over(self, state: _State, result: CellResult, done: int, total: int) -> CellOver:
        state.tried.add(result.cell.key)
        state.in_a_row = 0 if result.pixels is not None else state.in_a_row + 1
        state.results[result.cell.key] = result
        state.stored.add_result(result)
        state.measuring.add(result)
        return CellOver(result, done + 1, total)

    def _result(self, cell: TrialCell, path: Path, record: RunRecord, reused: bool) -> CellResult:
        receipt = record.receipt
        return CellResult(
            cell=cell,
            picture=self._past.name(path),
            plan=record.plan_fingerprint,
            record=record.fingerprint,
            pixels=receipt.image.pixels_sha256,
            effect=receipt.layer_effect if receipt.effect is None else receipt.effect,
            noise=receipt.image.noise_sha256,
            device=receipt.device,
            base_held=receipt.base_proof.holds,
            seconds=0.0 if reused else receipt.timings.total,
            reused=reused,
        )

    def _drop_lost(self, results: dict[str, CellResult]) -> None:
        """Forget the pictures that somebody deleted: they are made again."""
        outputs = self._workspace.gallery.outputs
        for key, result in list(results.items()):
            if result.picture is not None and not (outputs / result.picture).is_file():
                del results[key]


def _shown(outputs: Path) -> ShowPicture:
    """Pictures of the outputs, decoded; the latest are kept."""

    @lru_cache(maxsize=_SHOWN)
    def read(name: str) -> Image.Image:
        return decode((outputs / name).read_bytes())

    return lambda result: read(str(result.picture))
