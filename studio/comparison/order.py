"""In which order cells run: each base once, LoRAs switched as rarely as can be."""

from collections.abc import Sequence

from studio.comparison.axes import CellPlan, ComparisonPlan, Role
from studio.comparison.facts import LORA, PLACEMENT, PROMPT, effective, facts
from studio.contract.base import canonical_json

MOST_TOGETHER = 8
"""Cells of one call at most: their latents are in memory together."""

_SHARING = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline"})
"""Pipelines whose denoiser takes every sample of a batch by itself, guidance included."""


def running_order(plan: ComparisonPlan) -> tuple[int, ...]:
    """Indexes of the cells: by base, then without LoRAs before with, then by LoRA set, strength,
    text and seed; each base again comes at its end, for it proves what all its others left.
    """

    def key(index: int) -> tuple[object, ...]:
        cell = plan.cells[index]
        loras = tuple((use.sha256, use.strength.value) for use in cell.plan.loras)
        last = cell.place.role is Role.BASE_AGAIN
        text = (cell.plan.prompt.text, cell.plan.prompt.negative_text)
        return (cell.plan.base.sha256, last, len(loras), loras, text, cell.plan.seed, index)

    return tuple(sorted(range(len(plan.cells)), key=key))


def calls(plan: ComparisonPlan, wanted: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """``wanted`` (in running order) as denoiser calls: one cell each where the comparison is
    exact, else cells together that differ in their LoRAs and strengths alone, and not in
    placement or tiling.

    Bases, controls and strengths of 0 always run alone: they must be equal bit for bit.
    """
    groups: dict[str, list[int]] = {}
    for index in wanted:
        cell = plan.cells[index]
        key = str(index)
        if not plan.wanted.exact and _may_share(cell):
            # What reaches the pixels, to the letter: the call is made with the first cell's
            # words, numbers and placement, and each receipt has them.
            said = {**facts(cell.plan), PROMPT: cell.plan.prompt.text}
            names = {*effective(cell.plan), PLACEMENT} - {LORA}
            key = canonical_json({name: said.get(name) for name in names})
        groups.setdefault(key, []).append(index)
    return tuple(
        tuple(group[start : start + MOST_TOGETHER])
        for group in groups.values()
        for start in range(0, len(group), MOST_TOGETHER)
    )


def _may_share(cell: CellPlan) -> bool:
    plan = cell.plan
    return (
        cell.place.role is Role.ARM
        and plan.base.pipeline in _SHARING
        and not plan.references
        and any(use.strength.value for use in plan.loras)
    )
