"""A request × axes → cells: which cells there are, and what may differ between them."""

from typing import Any

import pytest

from studio.architecture import Mode
from studio.comparison.axes import (
    MAX_CELLS,
    Axis,
    AxisName,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    Role,
    base_against_lora,
    compose,
    four_arms,
    lora_against_lora,
    seeds_strengths,
    strengths,
)
from studio.comparison.axis_text import matching, parse_axis
from studio.comparison.differences import differences, in_one_line, summary, uninvited
from studio.comparison.plan import plan_comparison
from studio.comparison.schedule import running_order
from studio.comparison.validity import name_of
from studio.contract.origin import Origin
from studio.contract.request import LoraChoice, Overrides
from tests.resolve.test_resolve import ask, with_loras
from tests.support.comparison_plans import answer, compared, refused


def modes(plan: ComparisonPlan, role: Role = Role.ARM) -> list[Mode]:
    return [cell.plan.mode for cell in plan.cells if cell.place.role is role]


def grid(rows: Axis | None, columns: Axis | None, **changes: Any) -> ComparisonRequest:
    request = changes.pop("request", with_loras("plain", mode=Mode.LORA))
    return ComparisonRequest(
        kind=Question.GRID, request=request, rows=rows, columns=columns, **changes
    )


def axis(name: AxisName, *values: Any) -> Axis:
    return Axis(name=name, values=values)


def test_base_against_lora_is_two_cells_and_the_base_again() -> None:
    plan = compared(base_against_lora(with_loras("plain", mode=Mode.LORA)))
    assert modes(plan) == [Mode.BASE, Mode.LORA]
    assert modes(plan, Role.BASE_AGAIN) == [Mode.BASE]
    assert plan.columns == ("Base", "LoRA without trigger")
    assert summary(plan) == "Only the LoRA differs."
    assert uninvited(plan) == ()
    assert plan.cells[0].plan.loras == ()


def test_four_arms_cross_trigger_and_weights_on_one_seed() -> None:
    plan = compared(four_arms(with_loras("ink")))
    arms = {(c.place.row, c.place.column): c.plan for c in plan.cells if c.place.role is Role.ARM}
    assert {at: cell.mode for at, cell in arms.items()} == {
        (0, 0): Mode.BASE,
        (0, 1): Mode.LORA,
        (1, 0): Mode.TRIGGER_ONLY,
        (1, 1): Mode.LORA_WITH_TRIGGER,
    }
    assert {cell.plan.seed for cell in plan.cells} == {7}
    assert "phrsink" in arms[1, 0].prompt.text
    assert "phrsink" not in arms[0, 1].prompt.text
    (zero,) = (cell.plan for cell in plan.cells if cell.place.role is Role.SCALE_ZERO)
    assert (zero.mode, zero.loras[0].strength.value) == (Mode.LORA, 0.0)
    assert zero.prompt.text == arms[0, 0].prompt.text
    assert plan.cells[-1].place.role is Role.BASE_AGAIN
    assert in_one_line(differences(arms[0, 0], arms[0, 1])) == "Only the LoRA differs."
    assert in_one_line(differences(arms[0, 0], arms[1, 0])) == "Only the trigger words differ."


def test_a_loras_own_wishes_are_held_in_every_cell_or_marked() -> None:
    wanted = four_arms(with_loras("ink"))
    plan = compared(wanted)
    assert {cell.plan.settings.guidance_scale.value for cell in plan.cells} == {4.0}
    assert {cell.plan.prompt.negative_text for cell in plan.cells} == {"blurry, colour"}
    assert uninvited(plan) == ()
    settings = plan.cells[0].plan.settings
    assert {settings.steps.origin, settings.guidance_scale.origin} == {Origin.COMPARISON}
    before = compared(wanted.model_copy(update={"names_held": False}))
    assert before.cells[0].plan.settings.steps.origin is Origin.USER
    own = four_arms(with_loras("ink", settings=Overrides(steps=5)))
    assert compared(own).cells[0].plan.settings.steps.origin is Origin.USER
    free = compared(wanted.model_copy(update={"hold": False}))
    found = {side.difference.name: side.difference for side in uninvited(free)}
    assert set(found) == {"guidance", "clip skip", "negative prompt"}
    assert (found["guidance"].left, found["guidance"].right) == ("3", "4")


def test_seeds_repeat_the_whole_grid() -> None:
    plan = compared(base_against_lora(with_loras("plain", mode=Mode.LORA, count=3)))
    arms = [cell for cell in plan.cells if cell.place.role is Role.ARM]
    assert [cell.plan.seed for cell in arms] == [7, 7, 8, 8, 9, 9]
    assert all(cell.plan.count == 1 for cell in arms)
    assert len(plan.cells) == 7


def test_composing_takes_what_the_kind_needs() -> None:
    request = with_loras("ink")
    assert compose(Question.FOUR_ARMS, request) == four_arms(request)
    assert compose(Question.LORA_AGAINST_LORA, request, other="neon") == lora_against_lora(
        request, "neon"
    )
    assert compose(Question.STRENGTHS, request, values=(0.1, 0.2)) == strengths(
        request, (0.1, 0.2)
    )
    columns = parse_axis("steps=4,8")
    assert compose(Question.GRID, request, columns=columns).axes == (columns,)


def test_axes_are_typed_as_people_type_them() -> None:
    assert parse_axis("strength = 0.4, 0.7").values == (0.4, 0.7)
    assert parse_axis("seed=1,2,").values == (1, 2)
    assert parse_axis("prompt=a cat, a dog|a fox").values == ("a cat, a dog", "a fox")
    assert parse_axis("strength=0.4..1.2/0.2, 2").values == (0.4, 0.6, 0.8, 1.0, 1.2, 2.0)
    assert parse_axis("seed=7..9").values == (7, 8, 9)
    assert parse_axis("steps=8..4/2").values == ("8..4/2",)
    assert len(parse_axis("seed=0..100000000").values) == MAX_CELLS + 1
    assert parse_axis("prompt=1..3").values == ("1..3",)
    assert parse_axis("steps=4,many").values == (4, "many")
    for text in ("magic=1,2", "strength"):
        with pytest.raises(ValueError, match=r"axis|NAME"):
            parse_axis(text)


def test_a_pattern_stands_for_the_loras_that_it_matches() -> None:
    slugs = ["myink-10", "neon", "myink-2", "myink-1"]
    found = matching(axis(AxisName.LORA, "myink-*", "neon", "none-*"), slugs)
    assert found is not None
    assert found.values == ("myink-1", "myink-2", "myink-10", "neon", "none-*")
    prompt = axis(AxisName.PROMPT, "a *", "b")
    assert matching(prompt, slugs) == prompt


def test_the_usual_sweeps() -> None:
    request = with_loras("plain", mode=Mode.LORA)
    sweep = compared(strengths(request, (0.0, 0.5, 1.0)))
    assert [cell.plan.loras[0].strength.value for cell in sweep.cells] == [0.0, 0.5, 1.0]
    assert sweep.columns == ("strength 0.0", "strength 0.5", "strength 1.0")
    both = compared(seeds_strengths(with_loras("plain", mode=Mode.LORA, count=2), (0.5, 1.0)))
    assert [(cell.plan.seed, cell.plan.loras[0].strength.value) for cell in both.cells] == [
        (7, 0.5),
        (7, 1.0),
        (8, 0.5),
        (8, 1.0),
    ]
    duel = compared(lora_against_lora(request, "ink"))
    assert duel.columns == ("Plain", "Ink")
    assert [cell.plan.loras[0].slug for cell in duel.cells] == ["plain", "ink"]


@pytest.mark.parametrize(
    ("name", "values", "name_in_plan"),
    [
        (AxisName.BASE, ("mini", "second"), "base"),
        (AxisName.LORA, ("plain", "neon"), "LoRA"),
        (AxisName.MODE, ("base", "lora"), "LoRA"),
        (AxisName.GUIDANCE, (1.0, 4.0), "guidance"),
        (AxisName.STEPS, (4, 8), "steps"),
        (AxisName.CLIP_SKIP, (1, 2), "clip skip"),
        (AxisName.PROMPT, ("a cat", "a dog"), "prompt"),
        (AxisName.SEED, (1, 2), "seed"),
        (AxisName.STRENGTH, (0.5, 1.0), "strength"),
        (AxisName("width"), (64, 128), "width"),
        (AxisName("eta"), (0.0, 0.5), "eta"),
        (AxisName.WEIGHTS, ("off", "on"), "LoRA"),
    ],
)
def test_each_axis_changes_its_fact_and_no_other(
    name: AxisName, values: tuple[Any, ...], name_in_plan: str
) -> None:
    plan = compared(grid(None, axis(name, *values)))
    one, other = (cell.plan for cell in plan.cells[:2])
    assert [item.name for item in differences(one, other)] == [name_in_plan]
    assert uninvited(plan) == ()


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (grid(None, None), "nothing_to_compare"),
        (grid(None, axis(AxisName.STEPS, 4)), "axis_too_short"),
        (grid(None, axis(AxisName.STEPS, 4, 4)), "axis_value_twice"),
        (grid(None, axis(AxisName.STEPS, 4, "many")), "axis_value_refused"),
        (grid(None, axis(AxisName.MODE, "base", "magic")), "axis_value_refused"),
        (grid(axis(AxisName.STEPS, 1, 2), axis(AxisName.STEPS, 3, 4)), "axes_clash"),
        (
            grid(axis(AxisName.MODE, "base", "lora"), axis(AxisName.WEIGHTS, "off", "on")),
            "axes_clash",
        ),
        (
            grid(None, axis(AxisName.SEED, 1, 2), request=ask(count=2)),
            "axes_clash",
        ),
        (
            grid(axis(AxisName.SEED, *range(9)), axis(AxisName.STEPS, *range(1, 9))),
            "too_many_cells",
        ),
        (
            seeds_strengths(with_loras("plain", mode=Mode.LORA, count=10**11), (0.5, 1.0)),
            "too_many_cells",
        ),
        (
            strengths(with_loras("plain", mode=Mode.LORA, count=10**11), (0.5, 1.0)),
            "too_many_cells",
        ),
        (strengths(with_loras("plain", mode=Mode.LORA, count=0), (0.5, 1.0)), "out_of_range"),
        (base_against_lora(ask()), "comparison_needs_lora"),
        (four_arms(with_loras("plain", mode=Mode.LORA)), "trigger_axis_without_words"),
    ],
)
def test_axes_that_cannot_be_are_named(wanted: ComparisonRequest, code: str) -> None:
    assert code in refused(wanted)


def test_the_most_cells_are_counted_without_the_controls() -> None:
    plain = with_loras("plain", mode=Mode.LORA)
    full = compared(base_against_lora(plain.model_copy(update={"count": MAX_CELLS // 2})))
    roles = [cell.place.role for cell in full.cells]
    assert roles == [Role.ARM] * MAX_CELLS + [Role.BASE_AGAIN]
    more = base_against_lora(plain.model_copy(update={"count": MAX_CELLS // 2 + 1}))
    found = plan_comparison(more, answer)
    assert not isinstance(found, ComparisonPlan)
    assert found[0].describe() == (
        f"The comparison has {MAX_CELLS + 2} cells, without its controls. "
        f"Take values or seeds away until {MAX_CELLS} cells are left."
    )


def test_what_a_run_refuses_a_comparison_refuses_once() -> None:
    assert refused(strengths(with_loras("plain", mode=Mode.LORA), (0.5, 3.0, 4.0))) == [
        "strength_out_of_range",
        "strength_out_of_range",
    ]
    wide = with_loras("plain", mode=Mode.LORA, settings=Overrides(width=130))
    assert refused(strengths(wide, (0.5, 1.0))) == ["not_a_multiple"]


def test_a_trigger_typed_into_the_prompt_stops_the_base_arm() -> None:
    typed = with_loras("ink", prompt="a rocket, phrsink")
    assert set(refused(four_arms(typed))) == {"trigger_forbidden"}


def test_equal_requests_have_equal_fingerprints() -> None:
    wanted = four_arms(with_loras("ink"))
    assert compared(wanted).fingerprint == compared(wanted).fingerprint
    other = wanted.model_copy(update={"request": with_loras("ink", seed=8)})
    assert compared(other).fingerprint != compared(wanted).fingerprint
    again = ComparisonPlan.model_validate_json(compared(wanted).model_dump_json())
    assert again.fingerprint == compared(wanted).fingerprint


def test_cells_run_base_first_loras_together_and_the_base_again_last() -> None:
    request = with_loras("plain", mode=Mode.LORA, count=2)
    rows = axis(AxisName.STRENGTH, 0.5, 1.0)
    plan = compared(grid(rows, axis(AxisName.WEIGHTS, "off", "on"), request=request))
    cells = [plan.cells[index] for index in running_order(plan)]
    shown = [tuple(use.strength.value for use in cell.plan.loras) for cell in cells]
    assert shown == [*sorted(shown[:-1]), ()]
    assert cells[-1].place.role is Role.BASE_AGAIN


def test_every_base_that_stands_alone_is_made_again_after_all_of_its_own() -> None:
    plan = compared(
        grid(axis(AxisName.BASE, "mini", "second"), axis(AxisName.MODE, "base", "lora"))
    )
    again = [cell for cell in plan.cells if cell.place.role is Role.BASE_AGAIN]
    assert [(cell.place.row, cell.plan.base.slug) for cell in again] == [
        (0, "mini"),
        (1, "second"),
    ]
    assert [name_of(plan, index) for index in (4, 5)] == [
        "Base, Mini, once more at the end",
        "Base, Second Mini, once more at the end",
    ]
    cells = [plan.cells[index] for index in running_order(plan)]
    for own in (cells[:3], cells[3:]):
        assert len({cell.plan.base.slug for cell in own}) == 1
        assert [cell.plan.mode for cell in own] == [Mode.BASE, Mode.LORA, Mode.BASE]
        assert own[-1].place.role is Role.BASE_AGAIN


def test_strength_means_the_first_lora_and_leaves_the_others() -> None:
    request = with_loras("plain", mode=Mode.LORA).model_copy(
        update={"loras": (LoraChoice(slug="plain"), LoraChoice(slug="ink", strength=0.3))}
    )
    plan = compared(strengths(request, (0.5, 1.0)))
    said = [{use.slug: use.strength.value for use in cell.plan.loras} for cell in plan.cells]
    assert said == [{"plain": 0.5, "ink": 0.3}, {"plain": 1.0, "ink": 0.3}]


def test_finer_strength_is_an_axis_over_what_was_chosen() -> None:
    first = LoraChoice.parse("plain:0.8:in=0.5")
    request = with_loras("plain", mode=Mode.LORA).model_copy(update={"loras": (first,)})
    values = ("none", "in=0.25", "until=2", "in=1:from=2")
    plan = compared(grid(None, axis(AxisName.FINER, *values), request=request))
    said = [use.finer for cell in plan.cells for use in cell.plan.loras]
    assert said == ["in=0.5", "in=0.25", "in=0.5:until=2", "in=1.0:from=2"]
    assert {use.strength.value for cell in plan.cells for use in cell.plan.loras} == {0.8}
    assert uninvited(plan) == ()
    assert summary(plan) == "Only the finer strength differs."
    assert parse_axis("finer_strength=te=0.5:mid=0, until=2") == axis(
        AxisName.FINER, "te=0.5:mid=0", "until=2"
    )


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (("in=1", "0.5"), "axis_value_refused"),
        (("in=1", "in=0:in=1"), "axis_value_refused"),
        (("in=1", "double=1"), "unknown_part"),
        (("te=0", "te=1"), "same_run"),  # the file changes no text encoder
        (("until=20", "none"), "same_run"),
    ],
)
def test_finer_strengths_that_cannot_be_or_reach_no_pixel_are_named(
    values: tuple[str, ...], code: str
) -> None:
    assert code in refused(grid(axis(AxisName.FINER, *values), None))
