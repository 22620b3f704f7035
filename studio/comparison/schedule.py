"""In which order the cells of a comparison run, and about how long they take."""

import statistics
from collections.abc import Iterable, Sequence

from studio.comparison.axes import CellPlan, ComparisonPlan, Role
from studio.comparison.facts import LORA, PLACEMENT, PROMPT, effective, facts, is_guided
from studio.contract.base import canonical_json
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord

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


def pixels(plan: RunPlan) -> int:
    """Pixels of one picture, which decoding takes its time for."""
    return plan.settings.width.value * plan.settings.height.value


def work(plan: RunPlan) -> int:
    """Denoiser work of one picture: step-pixels, times two where guidance takes a second pass."""
    return plan.settings.steps.value * pixels(plan) * (2 if is_guided(plan) else 1)


def estimate_seconds(plans: Sequence[RunPlan], past: Iterable[RunRecord]) -> float | None:
    """Seconds for ``plans``, by the median pace of past pictures of the same base and dtype;
    None where a base has no past. Loading and waiting are not in it."""
    denoising: dict[tuple[str, str], list[float]] = {}
    decoding: dict[tuple[str, str], list[float]] = {}
    for record in past:
        times, key = record.receipt.timings, _key(record.plan)
        denoising.setdefault(key, []).append(times.denoise / work(record.plan))
        decoding.setdefault(key, []).append(times.decode / pixels(record.plan))
    total = 0.0
    for plan in plans:
        key = _key(plan)
        if key not in denoising:
            return None
        total += work(plan) * statistics.median(denoising[key])
        total += pixels(plan) * statistics.median(decoding[key])
    return total


def _key(plan: RunPlan) -> tuple[str, str]:
    return plan.base.sha256, plan.settings.dtype
