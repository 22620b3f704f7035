"""What differs between two plans: every fact of a plan by name, compared one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from studio.comparison.axes import SETTING_AXES, AxisName, CellPlan, ComparisonPlan, Role
from studio.comparison.facts import BASE, FINER, LORA, PROMPT, SEED, STRENGTH, TRIGGER, facts
from studio.contract.base import Contract
from studio.contract.plan import RunPlan

_MEANT: dict[AxisName, frozenset[str]] = {
    AxisName.STRENGTH: frozenset({STRENGTH, FINER}),
    AxisName.SEED: frozenset({SEED}),
    AxisName.LORA: frozenset({LORA, STRENGTH, FINER, TRIGGER}),
    AxisName.PROMPT: frozenset({PROMPT}),
    AxisName.BASE: frozenset({BASE}),
    AxisName.MODE: frozenset({LORA, TRIGGER}),
    AxisName.WEIGHTS: frozenset({LORA}),
    AxisName.TRIGGER: frozenset({TRIGGER}),
    AxisName.FINER: frozenset({FINER}),
    **{name: frozenset({setting.compared_as}) for name, setting in SETTING_AXES.items()},
}


class Difference(Contract):
    """One fact in which two plans differ, with both sides in words."""

    name: str
    left: str
    right: str

    @property
    def not_asked_for(self) -> str:
        """For a difference that no axis asked for."""
        return f"Not asked for: {self.name} differs too ({self.left} against {self.right})."


def differences(left: RunPlan, right: RunPlan) -> tuple[Difference, ...]:
    """Where the plans differ, in the order of the form; a LoRA that comes or goes brings its
    strength with it, which is then not told apart."""
    one, other = facts(left), facts(right)
    found = [
        Difference(name=name, left=one.get(name, "none"), right=other.get(name, "none"))
        for name in dict.fromkeys((*one, *other))
        if one.get(name, "none") != other.get(name, "none")
    ]
    if not left.loras or not right.loras:
        found = [item for item in found if item.name not in (STRENGTH, FINER)]
    return tuple(found)


def in_one_line(found: Sequence[Difference]) -> str:
    """``Only the LoRA differs.`` and its kin."""
    names = [item.name for item in found]
    if not names:
        return "Nothing differs: both cells are the same plan."
    if len(names) == 1:
        verb = "differ" if names[0] == TRIGGER else "differs"
        return f"Only the {names[0]} {verb}."
    return f"The {', '.join(names[:-1])} and the {names[-1]} differ."


@dataclass(frozen=True, slots=True)
class Uninvited:
    """A difference that no axis asked for, and the cell it was first seen in."""

    difference: Difference
    cell: int


def uninvited(plan: ComparisonPlan) -> tuple[Uninvited, ...]:
    """What differs although no axis asked for it, against the first cell; each name once."""
    meant = {SEED} if plan.wanted.request.count > 1 else set[str]()
    for axis in plan.wanted.axes:
        meant |= _MEANT[axis.name]
    seen: dict[str, Uninvited] = {}
    for index, cell in enumerate(plan.cells):
        if cell.place.role is Role.SCALE_ZERO:
            continue  # it differs from the base on purpose, in a LoRA that does nothing
        for item in differences(plan.cells[0].plan, cell.plan):
            if item.name not in meant:
                seen.setdefault(item.name, Uninvited(item, index))
    return tuple(seen.values())


def summary(plan: ComparisonPlan) -> str:
    """What differs across the whole comparison, in one line."""
    names: dict[str, None] = {}
    for cell in arms(plan):
        for item in differences(plan.cells[0].plan, cell.plan):
            names[item.name] = None
    shown = [name for name in names if name != SEED or len(names) == 1]
    return in_one_line([Difference(name=name, left="", right="") for name in shown])


def arms(plan: ComparisonPlan) -> Iterator[CellPlan]:
    return (cell for cell in plan.cells if cell.place.role is Role.ARM)
