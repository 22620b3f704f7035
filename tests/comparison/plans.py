"""Comparisons over the world that ``test_resolve`` knows, and receipts as an engine gives them."""

from collections.abc import Mapping

from studio.contract import fingerprint
from studio.grid import ComparisonPlan, ComparisonRequest, plan_comparison
from studio.grid.facts import effective
from studio.plan import RunPlan
from studio.receipt import Receipt
from studio.request import GenerationRequest
from studio.resolve import resolve
from studio.violations import Violation
from tests.records import flat, noise_sha256, run_receipt
from tests.test_resolve import CATALOG, RUNTIME, inventory


def answer(request: GenerationRequest) -> RunPlan | tuple[Violation, ...]:
    return resolve(request, CATALOG, inventory(), RUNTIME)


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
