"""Comparisons that would compare nothing: named before anything runs, and never valid."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from studio.architecture import Mode
from studio.comparison.axes import (
    Axis,
    AxisName,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    base_against_lora,
    four_arms,
    lora_against_lora,
    strengths,
)
from studio.comparison.facts import effective, facts, reading
from studio.comparison.plan import plan_comparison
from studio.comparison.record import blank_cells
from studio.comparison.validity import Verdict, judge
from studio.contract.placement import Offload, Placement
from studio.contract.request import GenerationRequest, LoraChoice, Overrides
from studio.contract.violations import SameRun
from studio.settings import BUILT_IN_PRESETS
from tests.resolve.test_resolve import ask, plan_of, with_loras
from tests.support.comparison_plans import answer, changed, compared, sound_receipts


def idle(slug: str, mode: Mode) -> GenerationRequest:
    """A request whose LoRA is chosen, at a strength of 0."""
    return ask(mode=mode, loras=(LoraChoice(slug=slug, strength=0.0),))


def axis(name: AxisName, *values: Any) -> Axis:
    return Axis(name=name, values=values)


def grid(rows: Axis | None, columns: Axis, **changes: Any) -> ComparisonRequest:
    request = changes.pop("request", with_loras("plain", mode=Mode.LORA))
    return ComparisonRequest(kind=Question.GRID, request=request, rows=rows, columns=columns)


def only(wanted: ComparisonRequest) -> SameRun:
    found = plan_comparison(wanted, answer)
    assert not isinstance(found, ComparisonPlan)
    (violation,) = found
    assert isinstance(violation, SameRun)
    return violation


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        (
            base_against_lora(idle("plain", Mode.LORA)),
            "columns",
            "“Base” and “LoRA without trigger” are one and the same run: a LoRA at strength 0 "
            "changes nothing. Give it a strength above 0.",
        ),
        (
            four_arms(with_loras("neon", prompt="a nghtneon rocket")),
            "rows",
            "“trigger off” and “trigger on” are one and the same run: the trigger words stand in "
            "the prompt already. Take them out of the prompt.",
        ),
        (
            four_arms(idle("ink", Mode.LORA_WITH_TRIGGER)),
            "columns",
            "“LoRA off” and “LoRA on” are one and the same run: a LoRA at strength 0 changes "
            "nothing. Give it a strength above 0.",
        ),
        (
            lora_against_lora(idle("plain", Mode.LORA), "neon"),
            "columns",
            "“Plain” and “Neon” are one and the same run: a LoRA at strength 0 changes nothing. "
            "Give it a strength above 0.",
        ),
        (
            grid(axis(AxisName.STEPS, 4, 8), axis(AxisName.GUIDANCE, 0.5, 1.0, 3.0)),
            "columns",
            "“guidance 0.5” and “guidance 1.0” are one and the same run: guidance is off at 1 and "
            "below, whatever the number. Take a guidance above 1 for one of them.",
        ),
        (
            grid(None, axis(AxisName.PROMPT, "a rocket", "A  Rocket", "a cat")),
            "columns",
            "“a rocket” and “A  Rocket” are one and the same run: the text encoder reads both "
            "prompts alike. Keep one of them, or write other words in one.",
        ),
        (
            grid(None, axis(AxisName.PROMPT, "a rocket", " a rocket ")),
            "columns",
            "“a rocket” and “ a rocket ” are one and the same run: both prompts come to "
            "“a rocket”. Keep one of them, or write other words in one.",
        ),
        (
            grid(
                axis(AxisName.MODE, "base", "trigger_only"),
                axis(AxisName.STRENGTH, 0.4, 0.7),
                request=with_loras("ink"),
            ),
            "columns",
            "“strength 0.4” and “strength 0.7” are one and the same run: what this axis varies "
            "takes no part in them. Leave the axis out, or choose a mode in which it counts.",
        ),
        (
            grid(
                axis(AxisName.MODE, "lora", "lora_with_trigger"),
                axis(AxisName.PROMPT, "a cat", "a nghtneon cat"),
                request=with_loras("neon"),
            ),
            "rows",
            "“LoRA without trigger” and “LoRA with trigger” are one and the same run at “a "
            "nghtneon cat”: the trigger words stand in the prompt already. Take them out of the "
            "prompt.",
        ),
    ],
)
def test_values_that_give_one_run_are_named(
    wanted: ComparisonRequest, field: str, said: str
) -> None:
    violation = only(wanted)
    assert (violation.field, violation.describe()) == (f"comparison.{field}", said)


def test_an_eta_of_0_is_none() -> None:
    """Schedulers that take one take 0 where nothing is said."""
    plan, zero = (
        plan_of(ask(settings=Overrides(eta=eta, scheduler="DDIMScheduler"))) for eta in (None, 0.0)
    )
    noisy = plan_of(ask(settings=Overrides(eta=0.5, scheduler="DDIMScheduler")))
    assert facts(plan)["eta"] == "none" != facts(zero)["eta"]
    assert effective(plan) == effective(zero) != effective(noisy)


@pytest.mark.parametrize(
    "wanted",
    [
        strengths(with_loras("plain", mode=Mode.LORA), (0.0, 0.5)),
        grid(axis(AxisName.MODE, "base", "lora"), axis(AxisName.STRENGTH, 0.0, 0.5, 1.0)),
        grid(axis(AxisName.LORA, "plain", "neon"), axis(AxisName.STRENGTH, 0.0, 0.5)),
        grid(axis(AxisName.STRENGTH, 0.4, 0.7), axis(AxisName.WEIGHTS, "off", "on")),
        grid(axis(AxisName.MODE, "base", "lora"), axis(AxisName.LORA, "plain", "neon")),
        grid(axis(AxisName.SEED, 1, 2), axis(AxisName.GUIDANCE, 1.0, 3.0)),
        grid(None, axis(AxisName.GUIDANCE, 3.0, 3.0000001)),
        grid(None, axis(AxisName.PROMPT, "a rocket", "a rocket, red")),
        grid(None, axis(AxisName.PROMPT, "(a rocket)1.2", "(A rocket)1.2")),
    ],
)
def test_bases_beside_strengths_and_a_strength_of_zero_may_repeat(
    wanted: ComparisonRequest,
) -> None:
    plan = compared(wanted)
    assert judge(plan, sound_receipts(plan)).verdict is Verdict.VALID


def test_what_was_compared_before_is_not_valid_either() -> None:
    """The plans as an earlier release made them: every cell there, and all of them equal."""
    plan = compared(base_against_lora(with_loras("plain", mode=Mode.LORA)))
    cells = list(plan.cells)
    cells[1] = cells[1].model_copy(update={"plan": plan_of(idle("plain", Mode.LORA))})
    plan = plan.model_copy(update={"cells": tuple(cells)})
    judged = judge(plan, sound_receipts(plan))
    assert judged.verdict is Verdict.INVALID
    assert [(reason.code, reason.cells) for reason in judged.reasons] == [("same_run", (0, 1))]
    assert blank_cells(plan)[1].differs == "Only the LoRA differs, which changes no pixel."
    alone = plan.model_copy(update={"cells": plan.cells[:1]})
    assert judge(alone, sound_receipts(alone)).verdict is Verdict.VALID


def test_prompts_that_an_encoder_happens_to_read_alike_are_called_so() -> None:
    plan = compared(grid(None, axis(AxisName.PROMPT, "a rocket, red", "a rocket , red")))
    receipts = sound_receipts(plan)
    assert judge(plan, receipts).verdict is Verdict.VALID, "an encoder may tell them apart"
    same = changed(receipts, 1, pixels_sha256=receipts[0].image.pixels_sha256)
    (reason,) = judge(plan, same).reasons
    assert reason.code == "read_alike"
    assert "the text encoder reads both alike" in reason.text
    other = compared(grid(None, axis(AxisName.PROMPT, "a rocket", "a cat")))
    receipts = sound_receipts(other)
    same = changed(receipts, 1, pixels_sha256=receipts[0].image.pixels_sha256)
    assert [each.code for each in judge(other, same).reasons] == ["same_pixels"]


def test_what_reaches_the_pixels_is_neither_a_name_nor_a_place_in_memory() -> None:
    plan = plan_of(ask(settings=Overrides(guidance_scale=3.0)))
    placed = Placement(device="cuda", offload=Offload.MODEL, reason="So.")
    base = plan.base.model_copy(update={"label": "Another name"})
    assert effective(plan.model_copy(update={"placement": placed, "base": base})) == (
        effective(plan)
    )


TOKENIZER = CLIPTokenizer.from_pretrained(BUILT_IN_PRESETS / "mini" / "base" / "tokenizer")
MARKS = st.sampled_from("aBcÉßİΣς猫🚀 \t\n,.-+()\"'7")


@given(st.text(MARKS, max_size=20))
def test_clip_reads_what_the_comparison_takes_for_the_same(text: str) -> None:
    read = reading(plan_of(ask()), text)
    assert TOKENIZER(read).input_ids == TOKENIZER(text).input_ids


def test_who_chose_the_precision_is_no_fact_of_a_picture() -> None:
    """Pictures of plans that did not say it yet are the same run; the dtype alone reaches them."""
    plan = plan_of(ask())
    assert plan.settings.precision is not None
    older = plan.model_copy(
        update={"settings": plan.settings.model_copy(update={"precision": None})}
    )
    assert facts(older) == facts(plan)
    assert effective(older) == effective(plan)
    other = plan.model_copy(
        update={"settings": plan.settings.model_copy(update={"dtype": "bfloat16"})}
    )
    assert effective(other) != effective(plan)
