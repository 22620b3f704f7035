"""How long a comparison will take, from pictures that were made before."""

import statistics
from collections.abc import Iterable, Sequence

from studio.plan import RunPlan
from studio.receipt import RunRecord


def work(plan: RunPlan) -> float:
    """Denoiser work of one picture, in step-pixels; guidance takes two passes everywhere."""
    settings = plan.settings
    return settings.steps.value * settings.width.value * settings.height.value


def estimate_seconds(plans: Sequence[RunPlan], past: Iterable[RunRecord]) -> float | None:
    """Seconds for ``plans``, by the median pace of past pictures of the same base and dtype;
    None where a base has no past. Loading and waiting are not in it."""
    paces: dict[tuple[str, str], list[float]] = {}
    for record in past:
        times, key = record.receipt.timings, _key(record.plan)
        paces.setdefault(key, []).append((times.denoise + times.decode) / work(record.plan))
    total = 0.0
    for plan in plans:
        known = paces.get(_key(plan))
        if known is None:
            return None
        total += work(plan) * statistics.median(known)
    return total


def _key(plan: RunPlan) -> tuple[str, str]:
    return plan.base.sha256, plan.settings.dtype
