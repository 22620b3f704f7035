"""How long a comparison will take, from pictures that were made before."""

import statistics
from collections.abc import Iterable, Sequence

from studio.comparison.facts import is_guided
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord


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
