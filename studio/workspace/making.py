"""Makes the cells of a comparison on the workers that there are, and on each the controls that
prove what it made."""

import threading
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from studio.backends.routing import share_of
from studio.comparison.axes import ComparisonPlan, Role
from studio.comparison.events import CellDone, CellFailed, CellWorking, ComparisonEvent
from studio.comparison.record import CellError
from studio.comparison.schedule import Shares, running_order
from studio.contract.events import Cancelled, Failed, Finished, Loading, Progress, Queued, Stalled
from studio.contract.receipt import RunRecord
from studio.workspace.lanes import lanes_for, together
from studio.workspace.workspace import Workspace

ControlMade = tuple[Path, RunRecord] | CellError


@dataclass(slots=True)
class Made:
    """The cells as they come out, by index.

    Attributes:
        controls: (index in the plan, life of the worker) → what came of that control there; the
            life is empty where the studio itself makes pictures.
        lost: life of a worker that was lost before its controls → what it was called.
        names: index of a control, where several workers made some → what its worker was called.
    """

    paths: dict[int, Path] = field(default_factory=dict)
    records: dict[int, RunRecord] = field(default_factory=dict)
    errors: dict[int, CellError] = field(default_factory=dict)
    reused: set[int] = field(default_factory=set)
    controls: dict[tuple[int, str], ControlMade] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    cancelled: bool = False

    @property
    def over(self) -> int:
        return len(self.records) + len(self.errors)

    def keep(self, index: int, path: Path, record: RunRecord) -> None:
        self.paths[index], self.records[index] = path, record
        self.errors.pop(index, None)

    def fail(self, index: int, error: CellError) -> None:
        """What was made before stays."""
        if index not in self.records:
            self.errors[index] = error

    def settle(self, plan: ComparisonPlan) -> ComparisonPlan:
        """The plan with a control for each worker that made cells for it to prove: the plan's own
        for the first, and after its cells one more for each of the others."""
        cells = list(plan.cells)
        for index, cell in enumerate(plan.cells):
            if cell.place.role is Role.ARM or index in self.reused:
                continue
            lives = self._lives(plan, index)
            for number, (life, name) in enumerate(lives.items()):
                at = index if number == 0 else len(cells)
                if number:
                    cells.append(cell)
                if len(lives) > 1:
                    self.names[at] = name
                self._put(at, self.controls.get((index, life)), life)
        return ComparisonPlan(
            wanted=plan.wanted, rows=plan.rows, columns=plan.columns, cells=tuple(cells)
        )

    def _lives(self, plan: ComparisonPlan, control: int) -> dict[str, str]:
        """Those that made what a control is there for, with the workers' names; where nobody did,
        that of the control."""
        base = plan.cells[control].plan.base.sha256
        lives = {
            life_of(record): name_of_worker(record)
            for index, record in sorted(self.records.items())
            if index < len(plan.cells)
            and index not in self.reused
            and plan.cells[index].place.role is Role.ARM
            and plan.cells[index].plan.base.sha256 == base
        }
        last = [life for index, life in self.controls if index == control][-1:]
        return lives or dict.fromkeys(last, "")

    def _put(self, index: int, outcome: ControlMade | None, life: str) -> None:
        for there in (self.paths, self.records, self.errors):
            there.pop(index, None)
        if isinstance(outcome, CellError):
            self.errors[index] = outcome
        elif outcome is not None:
            self.keep(index, *outcome)
        elif life in self.lost:
            self.errors[index] = CellError(
                code="worker_lost",
                message=f"Worker {self.lost[life]} was lost before it could prove its cells.",
                way_out="Compare once more.",
            )


def life_of(record: RunRecord) -> str:
    """The life of the worker that made a picture; empty where the studio itself did."""
    return record.receipt.worker.process if record.receipt.worker else ""


def name_of_worker(record: RunRecord) -> str:
    return record.receipt.worker.name if record.receipt.worker else ""


class CellMaker:
    """Makes what is missing in ``made``.

    Cells are shared out in stretches of the running order, so that each worker keeps its weights.
    A worker that made cells makes the controls of their base when all cells are made. Where it was
    lost before, its cells are made again, and stay until they are.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: ComparisonPlan,
        session: str,
        cancel: threading.Event,
        made: Made,
    ) -> None:
        """
        Args:
            cancel: read, and set where the making is given up.
        """
        self._workspace = workspace
        self._plan = plan
        self._session = session
        self._cancel = cancel
        self._made = made
        self._group = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._again = self._of_role(Role.BASE_AGAIN)
        self._zero = self._of_role(Role.SCALE_ZERO)
        self._at: dict[int, str] = {}
        """Lane → life of the worker that it was on last."""
        self._open: dict[tuple[str, str], None] = {}
        """(life, base) of cells that no base again has followed yet."""

    def _of_role(self, role: Role) -> dict[str, int]:
        cells = enumerate(self._plan.cells)
        return {each.plan.base.sha256: i for i, each in cells if each.place.role is role}

    def make(self) -> Iterator[ComparisonEvent]:
        missing = [i for i in running_order(self._plan) if i not in self._made.records]
        arms = [i for i in missing if self._role(i) is Role.ARM]
        lanes = lanes_for(self._workspace, len(arms))
        missing = missing if lanes == 1 else arms
        while True:
            shares = Shares(missing, lanes)
            yield from together([self._lane(lane, shares) for lane in range(lanes)], self._cancel)
            yield from self._prove()
            missing = [] if self._made.cancelled else self._unproven()
            if not missing:
                return

    def _lane(self, lane: int, shares: Shares[int]) -> Generator[ComparisonEvent, None, None]:
        while not self._is_over():
            with self._lock:
                index = shares.take(lane)
            if index is None:
                return
            yield from self._cell(index, lane)

    def _is_over(self) -> bool:
        self._made.cancelled = self._made.cancelled or self._cancel.is_set()
        return self._made.cancelled

    def _cell(self, index: int, lane: int) -> Iterator[ComparisonEvent]:
        made, total = self._made, len(self._plan.cells)
        # A cell is shown when it is finished.
        run = self._workspace.run(
            self._plan.cells[index].plan,
            self._session,
            self._cancel,
            previews=False,
            group=share_of(self._group, lane),
        )
        for event in run:
            match event:
                case Queued() | Loading() | Progress() | Stalled():
                    yield CellWorking(index, made.over, total, event)
                case Finished():
                    self._keep(index, lane, event.path, event.record)
                    yield CellDone(index, event.path, event.record, reused=False)
                case Failed():
                    error = CellError(
                        code=event.code, message=event.message, way_out=event.way_out
                    )
                    self._fail(index, lane, error)
                    yield CellFailed(index, error)
                case Cancelled():
                    made.cancelled = True

    def _keep(self, index: int, lane: int, path: Path, record: RunRecord) -> None:
        life, base = life_of(record), self._base(index)
        self._at[lane] = life
        self._made.keep(index, path, record)
        if self._role(index) is Role.ARM:
            if base in self._again:
                self._open[life, base] = None
        else:
            self._made.controls[index, life] = path, record
        if self._role(index) is Role.BASE_AGAIN:
            self._open.pop((life, base), None)

    def _fail(self, index: int, lane: int, error: CellError) -> None:
        self._made.fail(index, error)
        if self._role(index) is not Role.ARM:
            life = self._at.get(lane, "")
            self._made.controls[index, life] = error
            if self._role(index) is Role.BASE_AGAIN:
                self._open.pop((life, self._base(index)), None)

    # Controls

    def _prove(self) -> Iterator[ComparisonEvent]:
        """On every worker that is still there, the controls of what it made."""
        lives = dict.fromkeys(life for life, _ in self._open)
        yield from together([self._controls(life) for life in lives], self._cancel)
        done = {index for index, _ in self._made.controls} | self._made.reused
        for index in self._again.values():
            if index not in done and not self._is_over():
                yield from self._cell(index, 0)  # of cells that were all there already

    def _controls(self, life: str) -> Generator[ComparisonEvent, None, None]:
        for lane in [lane for lane, at in list(self._at.items()) if at == life]:
            for base in [base for each, base in list(self._open) if each == life]:
                zero = self._zero.get(base)
                wanted = [zero] if zero is not None and self._lacks(zero, life) else []
                for index in (*wanted, self._again[base]):
                    if self._at[lane] == life and not self._is_over():
                        yield from self._cell(index, lane)

    def _lacks(self, zero: int, life: str) -> bool:
        return zero not in self._made.reused and (zero, life) not in self._made.controls

    def _unproven(self) -> list[int]:
        """The cells of workers that were lost before their controls, in their running order."""
        gone, made = dict(self._open), self._made
        self._open.clear()
        found = [
            index
            for index in running_order(self._plan)
            if index in made.records
            and index not in made.reused
            and self._role(index) is Role.ARM
            and (life_of(made.records[index]), self._base(index)) in gone
        ]
        for index in found:
            worker = made.records[index].receipt.worker
            if worker is not None:
                made.lost[worker.process] = worker.name
        return found

    def _role(self, index: int) -> Role:
        return self._plan.cells[index].place.role

    def _base(self, index: int) -> str:
        return self._plan.cells[index].plan.base.sha256
