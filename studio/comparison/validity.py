"""Whether a comparison really compared: what its pictures and receipts allow to conclude.

One rule catches every collapse: plans that are equal in all that reaches the pixels must
have given equal pictures, and plans that differ in it different ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import combinations

from studio.comparison.axes import CellPlan, ComparisonPlan, Role
from studio.comparison.differences import Difference, differences, in_one_line
from studio.comparison.facts import differ_in_spelling, effective
from studio.comparison.same_run import quoted, same_runs
from studio.contract.base import Contract
from studio.contract.receipt import Receipt


class Verdict(StrEnum):
    VALID = "valid"
    INVALID = "invalid"
    """Some cells are not what they are compared as; nothing may be concluded."""
    INCOMPLETE = "incomplete"
    """Cells are missing; what is there holds so far."""


class Reason(Contract):
    """One thing that is wrong, in a sentence, and the cells it is about (0-based)."""

    code: str
    text: str
    cells: tuple[int, ...]


class Validity(Contract):
    """The seal of a comparison."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


def judge(plan: ComparisonPlan, receipts: Mapping[int, Receipt]) -> Validity:
    """The verdict over the cells that were made; ``receipts`` by index of the cell."""
    reasons = [
        *_same_runs(plan),
        *_pixels(plan, receipts),
        *_effects(plan, receipts),
        *_noise(plan, receipts),
        *_devices(plan, receipts),
        *_proofs(receipts),
    ]
    if reasons:
        return Validity(verdict=Verdict.INVALID, reasons=tuple(reasons))
    missing = tuple(index for index in range(len(plan.cells)) if index not in receipts)
    if missing:
        text = f"{len(missing)} of {len(plan.cells)} cells were not made."
        reason = Reason(code="missing", text=text, cells=missing)
        return Validity(verdict=Verdict.INCOMPLETE, reasons=(reason,))
    return Validity(verdict=Verdict.VALID)


SEALS = {
    Verdict.VALID: "Valid comparison",
    Verdict.INVALID: "Invalid comparison",
    Verdict.INCOMPLETE: "Incomplete comparison",
}


def seal_words(verdict: Verdict, uninvited: Sequence[Difference]) -> str:
    """The verdict in words, marked where more differs than was asked for."""
    return f"{SEALS[verdict]}, of more than was asked" if uninvited else SEALS[verdict]


def name_of(plan: ComparisonPlan, index: int) -> str:
    """A cell in words, as ``LoRA on, trigger off, seed 7``."""
    cell = plan.cells[index]
    place = cell.place
    if place.role is Role.SCALE_ZERO:
        said = ["LoRA at strength 0"]
    else:
        said = [label for label in (plan.columns[place.column], plan.rows[place.row]) if label]
    if place.role is Role.BASE_AGAIN:
        said.append("once more at the end")
    if plan.wanted.request.count > 1:
        said.append(f"seed {cell.plan.seed}")
    return ", ".join(said)


def _pixels(plan: ComparisonPlan, receipts: Mapping[int, Receipt]) -> Iterator[Reason]:
    reach = {index: effective(plan.cells[index].plan) for index in receipts}
    for one, other in combinations(sorted(receipts), 2):
        same = _sha(receipts[one]) == _sha(receipts[other])
        if reach[one] == reach[other]:
            if not same and not _each_of_its_own_worker(plan, receipts, one, other):
                yield _unequal(plan, receipts, one, other)
        elif same and {_role(plan, one), _role(plan, other)} == {Role.ARM}:
            yield _equal(plan, one, other)


def _same_runs(plan: ComparisonPlan) -> Iterator[Reason]:
    for violation, cells in same_runs(plan):
        yield Reason(code=violation.code, text=violation.describe(), cells=cells)


def _equal(plan: ComparisonPlan, one: int, other: int) -> Reason:
    left, right = plan.cells[one].plan, plan.cells[other].plan
    said = f"{_quoted(plan, one)} and {_quoted(plan, other)} gave the same pixels"
    if differ_in_spelling(left, right):
        text = (
            f"{said}: their prompts differ in spelling alone, and the text encoder reads both "
            "alike. Write other words in one of them."
        )
        return Reason(code="read_alike", text=text, cells=(one, other))
    what = in_one_line(differences(left, right))
    text = f"{said}. They should not: {what[0].lower()}{what[1:]}"
    return Reason(code="same_pixels", text=text, cells=(one, other))


def _each_of_its_own_worker(
    plan: ComparisonPlan, receipts: Mapping[int, Receipt], one: int, other: int
) -> bool:
    """Two controls of two workers: each is set against the base, and not against the other."""
    controls = Role.ARM not in (_role(plan, one), _role(plan, other))
    return controls and _life(receipts[one]) != _life(receipts[other])


def _life(receipt: Receipt) -> str:
    return receipt.worker.process if receipt.worker else ""


def _proven_by(
    plan: ComparisonPlan, receipts: Mapping[int, Receipt], control: int
) -> tuple[int, ...]:
    """The cells that a control is there for: those of its base, made by the same life of the same
    worker. Where the studio itself made them, it speaks of the whole comparison, and none is
    named."""
    if receipts[control].worker is None:
        return ()
    base, life = plan.cells[control].plan.base.sha256, _life(receipts[control])
    return tuple(
        index
        for index, receipt in sorted(receipts.items())
        if _role(plan, index) is Role.ARM
        and plan.cells[index].plan.base.sha256 == base
        and _life(receipt) == life
    )


def _unequal(
    plan: ComparisonPlan, receipts: Mapping[int, Receipt], one: int, other: int
) -> Reason:
    found = [i for i in (one, other) if _role(plan, i) is not Role.ARM]
    worker = receipts[found[-1]].worker if found else None
    on = f" on worker {worker.name}" if worker else ""
    proven = _proven_by(plan, receipts, found[-1]) if found else ()
    cells = tuple(dict.fromkeys((one, other, *proven)))
    roles = {_role(plan, one), _role(plan, other)}
    if Role.BASE_AGAIN in roles:
        code = "base_changed"
        label = plan.cells[one].plan.base.label
        text = f"The base “{label}” before and after the LoRAs is not bit-identical{on}."
    elif Role.SCALE_ZERO in roles:
        code = "scale_zero"
        text = f"The LoRA at strength 0 does not equal the base bit for bit{on}."
    else:
        code = "unequal_pixels"
        text = (
            f"{_quoted(plan, one)} and {_quoted(plan, other)} should give the same pixels, "
            "and did not."
        )
    return Reason(code=code, text=text, cells=cells)


def _effects(plan: ComparisonPlan, receipts: Mapping[int, Receipt]) -> Iterator[Reason]:
    """LoRAs that are on have a measured effect: together and, where several are, each alone.

    Records from before each was measured say only that of all together.
    """
    for index, receipt in sorted(receipts.items()):
        on = {
            use.slug: use.label
            for use in plan.cells[index].plan.loras
            if use.acts and any(use.modules.values())
        }
        if on and not (receipt.effect or receipt.layer_effect):
            text = f"The receipt of {_quoted(plan, index)} shows no effect of its LoRAs together."
            yield Reason(code="no_effect", text=text, cells=(index,))
        for lora in receipt.loras:
            if lora.slug in on and 0 in (lora.effect, lora.layer_effect):
                text = (
                    f"The receipt of {_quoted(plan, index)} shows no effect of “{on[lora.slug]}” "
                    "by itself."
                )
                yield Reason(code="no_effect", text=text, cells=(index,))


def _noise(plan: ComparisonPlan, receipts: Mapping[int, Receipt]) -> Iterator[Reason]:
    """Cells that share all that the noise is made of began from one and the same."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index in sorted(receipts):
        groups.setdefault(_noise_key(plan.cells[index]), []).append(index)
    for cells in groups.values():
        if len({receipts[index].image.noise_sha256 for index in cells}) > 1:
            names = " and ".join(_quoted(plan, index) for index in cells[:2])
            text = f"{names} have the same seed, and did not begin from the same noise."
            yield Reason(code="noise", text=text, cells=tuple(cells))


def _devices(plan: ComparisonPlan, receipts: Mapping[int, Receipt]) -> Iterator[Reason]:
    """Every cell ran on one device, and in one precision where one was planned."""
    devices = {receipt.device for receipt in receipts.values()}
    if len(devices) > 1:
        text = f"The cells ran on different devices: {', '.join(sorted(devices))}."
        yield Reason(code="devices", text=text, cells=tuple(sorted(receipts)))
    planned: dict[str, dict[int, str]] = {}
    for index, receipt in sorted(receipts.items()):
        planned.setdefault(plan.cells[index].plan.settings.dtype, {})[index] = receipt.dtype
    for cells in planned.values():
        dtypes = set(cells.values())
        if len(dtypes) > 1:
            text = f"The cells ran in different precisions: {', '.join(sorted(dtypes))}."
            yield Reason(code="devices", text=text, cells=tuple(cells))


def _noise_key(cell: CellPlan) -> tuple[object, ...]:
    settings = cell.plan.settings
    size = (settings.width.value, settings.height.value)
    # Schedulers scale the noise to their first step, which depends on how many there are.
    return (
        *(cell.plan.base.sha256, cell.plan.seed, size),
        *(settings.scheduler.value, settings.steps.value, settings.dtype),
    )


def _proofs(receipts: Mapping[int, Receipt]) -> Iterator[Reason]:
    broken = tuple(i for i, receipt in sorted(receipts.items()) if not receipt.base_proof.holds)
    if broken:
        text = "With every LoRA off, the base no longer gave the output it was loaded with."
        yield Reason(code="base_proof", text=text, cells=broken)


def _role(plan: ComparisonPlan, index: int) -> Role:
    return plan.cells[index].place.role


def _quoted(plan: ComparisonPlan, index: int) -> str:
    return quoted(name_of(plan, index))


def _sha(receipt: Receipt) -> str:
    return receipt.image.pixels_sha256


def reason_texts(validity: Validity) -> Sequence[str]:
    return [reason.text for reason in validity.reasons]
