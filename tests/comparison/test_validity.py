"""The collapse check: equal plans give equal pictures, different plans different ones."""

from collections.abc import Mapping

import pytest

from studio.architecture import Mode
from studio.comparison.axes import (
    Axis,
    AxisName,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    Role,
    base_against_lora,
    four_arms,
    strengths,
)
from studio.comparison.differences import uninvited
from studio.comparison.validity import Verdict, judge, seal_words
from studio.contract.plan import WorkerClass
from studio.contract.receipt import Receipt, WorkerReceipt
from tests.resolve.test_resolve import with_loras
from tests.support.comparison_plans import changed, compared, sound_receipt, sound_receipts

FOUR = compared(four_arms(with_loras("ink")))
SOUND = sound_receipts(FOUR)
CLASS = WorkerClass(device="cpu", hardware="CPU", dtypes=("float32",))


def role(wanted: Role) -> int:
    return next(i for i, cell in enumerate(FOUR.cells) if cell.place.role is wanted)


def codes(receipts: Mapping[int, object]) -> set[str]:
    answer = judge(FOUR, receipts)  # type: ignore[arg-type]
    assert answer.verdict is Verdict.INVALID
    return {reason.code for reason in answer.reasons}


def test_a_sound_comparison_is_valid() -> None:
    assert judge(FOUR, SOUND).verdict is Verdict.VALID


def test_the_scale_zero_control_and_the_base_again_count_as_the_base() -> None:
    pixels = {SOUND[i].image.pixels_sha256 for i in (0, role(Role.SCALE_ZERO), len(SOUND) - 1)}
    assert len(pixels) == 1
    assert len({receipt.image.pixels_sha256 for receipt in SOUND.values()}) == 4


@pytest.mark.parametrize(
    ("index", "image", "code"),
    [
        (1, {"pixels_sha256": SOUND[0].image.pixels_sha256}, "same_pixels"),
        (len(SOUND) - 1, {"pixels_sha256": "f" * 64}, "base_changed"),
        (role(Role.SCALE_ZERO), {"pixels_sha256": "f" * 64}, "scale_zero"),
        (2, {"noise_sha256": "f" * 64}, "noise"),
    ],
)
def test_a_collapse_is_named(index: int, image: dict[str, str], code: str) -> None:
    assert code in codes(changed(SOUND, index, **image))


def test_a_second_base_that_changed_is_named_too() -> None:
    rows = Axis(name=AxisName.BASE, values=("mini", "second"))
    columns = Axis(name=AxisName.MODE, values=("base", "lora"))
    request = with_loras("plain", mode=Mode.LORA)
    plan = compared(
        ComparisonRequest(kind=Question.GRID, request=request, rows=rows, columns=columns)
    )
    receipts = sound_receipts(plan)
    assert judge(plan, receipts).verdict is Verdict.VALID
    (reason,) = judge(plan, changed(receipts, 5, pixels_sha256="f" * 64)).reasons
    assert (reason.code, reason.cells) == ("base_changed", (2, 5))
    assert "“Second Mini”" in reason.text


@pytest.mark.parametrize("other", [None, 0.0])
def test_a_lora_without_effect_is_named(other: float | None) -> None:
    without = SOUND[1].model_copy(update={"effect": 0.0, "layer_effect": other})
    assert codes({**SOUND, 1: without}) == {"no_effect"}
    layers = SOUND[1].model_copy(update={"effect": other, "layer_effect": 0.2})
    assert judge(FOUR, {**SOUND, 1: layers}).verdict is Verdict.VALID


@pytest.mark.parametrize("effect", [0.0, None])
def test_a_lora_of_the_text_encoder_alone_without_effect_is_named(effect: float | None) -> None:
    """Even where its pixels differ: then something else made them differ."""
    words = FOUR.cells[1].plan.loras[0].model_copy(update={"modules": {"text_encoder": 6}})
    cell = FOUR.cells[1].model_copy(
        update={"plan": FOUR.cells[1].plan.model_copy(update={"loras": (words,)})}
    )
    plan = FOUR.model_copy(update={"cells": (FOUR.cells[0], cell, *FOUR.cells[2:])})
    receipts = {**SOUND, 1: sound_receipt(cell.plan)}
    assert judge(plan, receipts).verdict is Verdict.VALID
    receipts[1] = receipts[1].model_copy(update={"effect": effect})
    (reason,) = judge(plan, receipts).reasons
    assert (reason.code, reason.cells) == ("no_effect", (1,))


@pytest.mark.parametrize("measured", ["effect", "layer_effect"])
def test_one_lora_of_several_without_effect_is_named(measured: str) -> None:
    plan = compared(base_against_lora(with_loras("ink", "plain")))
    receipts = sound_receipts(plan)
    assert judge(plan, receipts).verdict is Verdict.VALID
    first, second = receipts[1].loras
    idle = (first, second.model_copy(update={measured: 0.0}))
    receipts[1] = receipts[1].model_copy(update={"loras": idle})
    (reason,) = judge(plan, receipts).reasons
    assert (reason.code, reason.cells) == ("no_effect", (1,))
    assert "no effect of “Plain” by itself" in reason.text


def test_a_base_that_is_no_longer_itself_is_named() -> None:
    proof = SOUND[1].base_proof.model_copy(update={"now": "0" * 64})
    assert codes({**SOUND, 1: SOUND[1].model_copy(update={"base_proof": proof})}) == {"base_proof"}


@pytest.mark.parametrize("changed_to", [{"device": "cuda:0"}, {"dtype": "bfloat16"}])
def test_cells_of_different_devices_are_not_compared(changed_to: dict[str, str]) -> None:
    assert codes({**SOUND, 1: SOUND[1].model_copy(update=changed_to)}) == {"devices"}


def test_the_verdict_is_marked_where_more_differs_than_was_asked() -> None:
    plan = compared(base_against_lora(with_loras("ink")).model_copy(update={"hold": False}))
    found = [side.difference for side in uninvited(plan)]
    assert found
    assert seal_words(Verdict.VALID, found) == "Valid comparison, of more than was asked"
    assert seal_words(Verdict.VALID, ()) == "Valid comparison"


def test_missing_cells_leave_it_incomplete_and_a_collapse_stays_one() -> None:
    some = {index: SOUND[index] for index in (0, 1)}
    assert judge(FOUR, some).verdict is Verdict.INCOMPLETE
    assert judge(FOUR, {}).verdict is Verdict.INCOMPLETE
    collapsed = changed(some, 1, pixels_sha256=SOUND[0].image.pixels_sha256)
    assert judge(FOUR, collapsed).verdict is Verdict.INVALID


def test_strength_zero_in_a_sweep_may_equal_nothing_but_itself() -> None:
    plan = compared(strengths(with_loras("plain", mode=Mode.LORA), (0.0, 0.5)))
    receipts = sound_receipts(plan)
    assert judge(plan, receipts).verdict is Verdict.VALID
    same = changed(receipts, 1, pixels_sha256=receipts[0].image.pixels_sha256)
    assert judge(plan, same).verdict is Verdict.INVALID


def test_the_reason_says_which_cells_and_what_should_have_differed() -> None:
    plan = compared(base_against_lora(with_loras("plain", mode=Mode.LORA)))
    receipts = sound_receipts(plan)
    same = changed(receipts, 1, pixels_sha256=receipts[0].image.pixels_sha256)
    reason = next(r for r in judge(plan, same).reasons if r.code == "same_pixels")
    assert reason.cells == (0, 1)
    assert "only the LoRA differs" in reason.text


def on_workers(lives: str) -> tuple[ComparisonPlan, dict[int, Receipt]]:
    """The four arms, cell by cell on the workers named; of the last ones each has a base again."""
    extra = len(lives) - len(FOUR.cells)
    again = FOUR.cells[role(Role.BASE_AGAIN)]
    plan = ComparisonPlan(
        wanted=FOUR.wanted,
        rows=FOUR.rows,
        columns=FOUR.columns,
        cells=(*FOUR.cells, *[again] * extra),
    )
    receipts = {}
    for index, name in enumerate(lives):
        worker = WorkerReceipt(name=name, process=name * 16, worker_class=CLASS)
        sound = SOUND[index] if index in SOUND else SOUND[role(Role.BASE_AGAIN)]
        receipts[index] = sound.model_copy(update={"worker": worker})
    return plan, receipts


def test_a_control_speaks_of_its_own_workers_cells() -> None:
    plan, receipts = on_workers("1122112")
    assert judge(plan, receipts).verdict is Verdict.VALID
    (reason,) = judge(plan, changed(receipts, 6, pixels_sha256="f" * 64)).reasons
    assert reason.code == "base_changed"
    assert "on worker 2" in reason.text
    assert set(reason.cells) == {0, 6, 2, 3}, "the base, the control, and what it does not prove"


def test_a_worker_without_its_control_leaves_it_incomplete() -> None:
    plan, receipts = on_workers("1122112")
    answer = judge(plan, {index: each for index, each in receipts.items() if index != 6})
    assert answer.verdict is Verdict.INCOMPLETE
    assert answer.reasons[0].cells == (6,)
