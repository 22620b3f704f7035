"""In which order cells run: each base once, LoRAs switched as rarely as can be."""

from studio.grid import ComparisonPlan, Role


def running_order(plan: ComparisonPlan) -> tuple[int, ...]:
    """Indexes of the cells: by base, then without LoRAs before with, then by LoRA set, strength,
    text and seed; the base again comes at the very end, for it proves what all others left.
    """

    def key(index: int) -> tuple[object, ...]:
        cell = plan.cells[index]
        loras = tuple((use.sha256, use.strength.value) for use in cell.plan.loras)
        last = cell.place.role is Role.BASE_AGAIN
        text = (cell.plan.prompt.text, cell.plan.prompt.negative_text)
        return (last, cell.plan.base.sha256, len(loras), loras, text, cell.plan.seed, index)

    return tuple(sorted(range(len(plan.cells)), key=key))
