"""Comparisons over the world that ``test_resolve`` knows, and receipts as an engine gives them."""

from collections.abc import Mapping
from dataclasses import replace

from studio.comparison.axes import ComparisonPlan, ComparisonRequest
from studio.comparison.facts import effective
from studio.comparison.plan import plan_comparison
from studio.contract.base import FileIdentity, fingerprint
from studio.contract.plan import RunPlan
from studio.contract.receipt import Receipt
from studio.contract.request import GenerationRequest
from studio.contract.violations import Violation
from studio.presets import Catalog
from studio.resolve import resolve
from tests.resolve.test_resolve import CATALOG, MINI, RUNTIME, inventory
from tests.support.records import flat, noise_sha256, run_receipt

SECOND = MINI.model_copy(update={"slug": "second", "label": "Second Mini"})
"""Another base of the same architecture, of other weights."""
_PRESETS = Catalog((*CATALOG.models.values(), SECOND), tuple(CATALOG.loras.values()))
_RUNTIME = replace(RUNTIME, counters={**RUNTIME.counters, "second": RUNTIME.counters["mini"]})


def answer(request: GenerationRequest) -> RunPlan | tuple[Violation, ...]:
    there = inventory()
    file = FileIdentity(name="unet/x", sha256="b" * 64, size=1)
    second = replace(there.bases["mini"], files=(file,))
    there = replace(there, bases={**there.bases, "second": second})
    return resolve(request, _PRESETS, there, _RUNTIME)


def compared(wanted: ComparisonRequest) -> ComparisonPlan:
    plan = plan_comparison(wanted, answer)
    assert isinstance(plan, ComparisonPlan), [item.describe() for item in plan]
    return plan


def refused(wanted: ComparisonRequest) -> list[str]:
    found = plan_comparison(wanted, answer)
    assert not isinstance(found, ComparisonPlan)
    return [item.code for item in found]


def sound_receipts(plan: ComparisonPlan) -> dict[int, Receipt]:
    """What an engine reports whose pixels follow from the plan alone."""
    return {index: sound_receipt(cell.plan) for index, cell in enumerate(plan.cells)}


def sound_receipt(plan: RunPlan, **image: object) -> Receipt:
    receipt = run_receipt(plan, flat())
    said = {
        "pixels_sha256": fingerprint(dict(effective(plan))),
        "noise_sha256": noise_sha256(plan.seed),
    }
    changed = receipt.image.model_copy(update=said | image)
    return receipt.model_copy(update={"image": changed})


def changed(receipts: Mapping[int, Receipt], index: int, **image: object) -> dict[int, Receipt]:
    """``receipts`` with another image in one of them."""
    one = receipts[index]
    other = one.model_copy(update={"image": one.image.model_copy(update=image)})
    return {**receipts, index: other}
