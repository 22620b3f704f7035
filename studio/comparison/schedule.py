"""In which order the cells of a comparison run, and about how long they take."""

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from studio.comparison.axes import ComparisonPlan, Role
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord

T = TypeVar("T")


class Shares(Generic[T]):
    """An order shared out among several who make it at the same time.

    Each has a stretch of it, whose neighbours need the same weights, and makes it from its front.
    Who is through takes from the end of the longest stretch that is left.
    """

    def __init__(self, order: Sequence[T], count: int) -> None:
        ends = [len(order) * each // count for each in range(count + 1)]
        self._left = [deque(order[a:b]) for a, b in pairwise(ends)]

    def take(self, number: int) -> T | None:
        """What the one of this number (from 0) makes next; None where nothing is left."""
        if self._left[number]:
            return self._left[number].popleft()
        longest = max(self._left, key=len)
        return longest.pop() if longest else None


def running_order(plan: ComparisonPlan) -> tuple[int, ...]:
    """Indexes of the cells: by base, then without LoRAs before with, then by LoRA set, strength,
    text and seed; each base again comes at its end, for it proves what all its others left.
    """

    def key(index: int) -> tuple[object, ...]:
        cell = plan.cells[index]
        loras = tuple((use.sha256, use.strength.value, use.finer) for use in cell.plan.loras)
        last = cell.place.role is Role.BASE_AGAIN
        text = (cell.plan.prompt.text, cell.plan.prompt.negative_text)
        return (cell.plan.base.sha256, last, len(loras), loras, text, cell.plan.seed, index)

    return tuple(sorted(range(len(plan.cells)), key=key))


def pixels(plan: RunPlan) -> int:
    """Pixels of one picture, which decoding takes its time for."""
    return plan.settings.width.value * plan.settings.height.value


def work(plan: RunPlan) -> int:
    """Denoiser work of one picture: step-pixels, times two where guidance takes a second pass."""
    return plan.settings.steps.value * pixels(plan) * (2 if plan.is_guided else 1)


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
