"""Which cells are set against which: the same seed, another arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from studio.comparison.axes import AxisName, CellPlan, ComparisonPlan, Role
from studio.comparison.record import CellRecord, ComparisonRecord

MOST_PAIRED = 4
"""Up to this many arms each is set against each; above it, each against the first."""

Placed = ComparisonPlan | ComparisonRecord
"""What has axes and cells in places."""

Arm = tuple[int, int]
"""Row and column of an arm, 0 where the axis is the seed."""


@dataclass(frozen=True, slots=True)
class ArmPair:
    """Two arms, and their cells seed by seed: (left, right) indexes."""

    left: Arm
    right: Arm
    cells: tuple[tuple[int, int], ...]


def arm_of(plan: Placed, index: int) -> Arm:
    """The arm a cell belongs to: its place without its seed."""
    place, wanted = plan.cells[index].place, plan.wanted
    row = 0 if wanted.rows and wanted.rows.name is AxisName.SEED else place.row
    column = 0 if wanted.columns and wanted.columns.name is AxisName.SEED else place.column
    return row, column


def arms_by_seed(plan: Placed) -> dict[Arm, dict[int, int]]:
    """Arm → seed → cell; controls are no arms. Arms and seeds stand in the grid's order."""
    found: dict[Arm, dict[int, int]] = {}
    cells: Sequence[CellPlan | CellRecord] = plan.cells
    for index, cell in enumerate(cells):
        if cell.place.role is Role.ARM:
            found.setdefault(arm_of(plan, index), {})[cell.seed] = index
    return found


def arm_pairs(plan: Placed) -> tuple[ArmPair, ...]:
    """The pairs of arms that numbers are given for; none where only the seed varies."""
    arms = arms_by_seed(plan)
    names = list(arms)
    if len(names) <= MOST_PAIRED:
        chosen = list(combinations(names, 2))
    else:
        chosen = [(names[0], name) for name in names[1:]]
    return tuple(
        ArmPair(
            left,
            right,
            tuple((cell, arms[right][seed]) for seed, cell in arms[left].items()),
        )
        for left, right in chosen
    )


def arm_name(plan: Placed, arm: Arm) -> str:
    """An arm in words: its row and column, without those that are the seed."""
    row, column = arm
    labels: Sequence[str] = (
        "" if _is_seed(plan, "columns") else plan.columns[column],
        "" if _is_seed(plan, "rows") else plan.rows[row],
    )
    return ", ".join(label for label in labels if label) or "the request"


def _is_seed(plan: Placed, side: str) -> bool:
    axis = getattr(plan.wanted, side)
    return axis is not None and axis.name is AxisName.SEED
