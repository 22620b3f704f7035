"""The contact sheet of a comparison: every text in its place, whole, in letters there are."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from PIL import ImageColor

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
    seeds_strengths,
    strengths,
)
from studio.comparison.differences import summary, uninvited
from studio.comparison.record import CellError, ComparisonRecord, blank_cells, done, failed
from studio.comparison.validity import judge, name_of
from studio.contract.receipt import Receipt, RunRecord
from studio.gallery.sheet import draw
from studio.gallery.sheet.canvas import INK, PAPER, RED, Paper, Written
from studio.gallery.sheet.lettering import can_write, fits, leading
from tests.resolve.test_resolve import with_loras
from tests.support.comparison_plans import changed, compared, sound_receipts
from tests.support.records import flat

MINI = 128
"""Pixels of Mini's pictures."""


def record_of(plan: ComparisonPlan, receipts: dict[int, Receipt]) -> ComparisonRecord:
    cells = list(blank_cells(plan))
    for index, receipt in receipts.items():
        made = RunRecord.of(plan.cells[index].plan, receipt)
        cells[index] = done(cells[index], made, f"{index}.png", reused=False)
    return ComparisonRecord(
        finished_at="2026-11-22T15:30:12.000+00:00",
        device="cpu",
        base_label="Mini",
        lora_labels=tuple(
            dict.fromkeys(use.label for cell in plan.cells for use in cell.plan.loras)
        ),
        plan_fingerprint=plan.fingerprint,
        wanted=plan.wanted,
        rows=plan.rows,
        columns=plan.columns,
        summary=summary(plan),
        uninvited=tuple(side.difference for side in uninvited(plan)),
        cells=tuple(cells),
        validity=judge(plan, receipts),
        numbers=(),
        sheet_pixels_sha256="0" * 64,
    )


def recorded(wanted: ComparisonRequest) -> ComparisonRecord:
    plan = compared(wanted)
    return record_of(plan, sound_receipts(plan))


def laid_out(record: ComparisonRecord, side: int = MINI) -> Paper:
    pictures = {i: flat(side, side) for i, cell in enumerate(record.cells) if cell.picture}
    return draw.lay_out(record, pictures)


def said(paper: Paper) -> str:
    return " ".join(line.text for line in paper.texts)


def grid(rows: Axis | None = None, **changes: Any) -> ComparisonRequest:
    request = with_loras("plain", mode=Mode.LORA, **changes)
    columns = Axis(name=AxisName.GUIDANCE, values=(2.0, 4.0, 6.0))
    return ComparisonRequest(kind=Question.GRID, request=request, rows=rows, columns=columns)


def prompts(*values: str) -> ComparisonRequest:
    return grid(Axis(name=AxisName.PROMPT, values=values), prompt="a prompt of no cell")


STRENGTHS = Axis(name=AxisName.STRENGTH, values=(0.4, 0.7, 1.0))
WANTED = {
    "four arms on two seeds": four_arms(with_loras("ink", count=2)),
    "sweep": strengths(with_loras("ink"), (0.2, 0.4, 0.6, 0.8, 1.0)),
    "seeds and strengths": seeds_strengths(with_loras("ink", count=3), (0.4, 0.7)),
    "base against LoRA": base_against_lora(with_loras("plain", mode=Mode.LORA)),
    "grid": grid(STRENGTHS),
    "prompts": prompts("a rocket on a blue background", "a mushroom in a very wide meadow"),
}


def overlap(one: Written, other: Written) -> bool:
    """Whether the rooms of two lines, each as wide as it was given, share a pixel."""
    (x, y), (u, v) = one.at, other.at
    across = x < u + other.room and u < x + one.room
    return across and y < v + leading(other.size) and v < y + leading(one.size)


@pytest.mark.parametrize("side", [MINI, 512])
@pytest.mark.parametrize("name", WANTED)
def test_every_text_is_whole_and_has_its_own_room(name: str, side: int) -> None:
    record = recorded(WANTED[name])
    paper = laid_out(record, side)
    for line in paper.texts:
        assert "…" not in line.text
        assert fits(line.text, line.room, line.size), line
        assert line.at[0] + line.room <= paper.width
        assert line.at[1] + leading(line.size) <= paper.height
    assert [pair for pair in combinations(paper.texts, 2) if overlap(*pair)] == []
    for cell in record.cells:
        if cell.place.role is Role.ARM:
            assert f"{cell.mode.label} · seed {cell.seed}" in said(paper)
            assert cell.differs in said(paper)


def test_each_seed_and_the_controls_have_a_heading() -> None:
    texts = [line.text for line in laid_out(recorded(WANTED["four arms on two seeds"])).texts]
    headings = [text for text in texts if text in {"Seed 7", "Seed 8", "Controls"}]
    assert headings == ["Seed 7", "Seed 8", "Controls"]
    controls = texts[texts.index("Controls") :]
    assert controls.count("Equals the base, bit for bit.") == 2
    assert "LoRA at strength 0 · seed 7" in controls
    assert "Base again, at the end · seed 7" in controls
    assert "Seeds" in [
        line.text for line in laid_out(recorded(WANTED["seeds and strengths"])).texts
    ]


def test_a_control_that_does_not_hold_is_red() -> None:
    plan = compared(WANTED["base against LoRA"])
    receipts = changed(sound_receipts(plan), 2, pixels_sha256="f" * 64)
    paper = laid_out(record_of(plan, receipts))
    red = [line.text for line in paper.texts if line.colour == RED]
    assert red == ["Invalid comparison", "Does not equal the base, bit for bit."]


def test_a_reason_that_holds_for_several_pairs_is_written_once() -> None:
    plan = compared(WANTED["four arms on two seeds"])
    receipts = changed(sound_receipts(plan), len(plan.cells) - 1, pixels_sha256="f" * 64)
    record = record_of(plan, receipts)
    (text,) = {reason.text for reason in record.validity.reasons}
    assert len(record.validity.reasons) == 2
    assert [line.text for line in laid_out(record).texts].count(text) == 1


def test_a_cell_without_a_picture_says_why() -> None:
    plan = compared(WANTED["base against LoRA"])
    receipts = sound_receipts(plan)
    record = record_of(plan, {0: receipts[0]})
    error = CellError(code="engine", message="Out of memory.", way_out="Close programs.")
    cells = (record.cells[0], failed(record.cells[1], error), record.cells[2])
    text = said(laid_out(record.model_copy(update={"cells": cells})))
    assert "Failed. Out of" in text
    assert "Not made" in text
    assert "To equal the base" in text


def test_prompts_as_an_axis_leave_the_prompt_of_no_cell_out() -> None:
    text = said(laid_out(recorded(WANTED["prompts"])))
    assert "a prompt of no cell" not in text
    assert "“a rocket on a blue" in text
    assert "“a prompt of no cell”" in said(laid_out(recorded(grid(prompt="a prompt of no cell"))))


@pytest.mark.parametrize("prompt", ["кошка", "猫の絵", "a rocket 🚀", "ein Fuß"])
def test_what_the_font_lacks_is_said_in_words(prompt: str) -> None:
    assert not can_write(prompt)
    paper = laid_out(recorded(grid(prompt=prompt)))
    assert "The prompt is in the record" in said(paper)
    axis = laid_out(recorded(prompts("a rocket", prompt)))
    assert "prompt 2, in the record" in said(axis)
    for line in (*paper.texts, *axis.texts):
        assert can_write(line.text), line


def test_reasons_name_cells_as_the_sheet_does() -> None:
    """Labels that are written in other words are written so everywhere; none is a box."""
    plan = compared(prompts("猫", "犬", "鳥"))
    receipts = sound_receipts(plan)
    same = receipts[0].image.pixels_sha256
    for index in range(1, 9):
        receipts = changed(receipts, index, pixels_sha256=same)
    record = record_of(plan, receipts)
    assert "猫" in name_of(plan, 0)
    paper = laid_out(record)
    assert "prompt 2, in the record” gave the same pixels" in said(paper)
    assert f"{len(record.validity.reasons) - 4} more in the record." in said(paper)
    assert all(can_write(line.text) for line in paper.texts)


def test_a_title_has_no_box() -> None:
    title = laid_out(recorded(WANTED["seeds and strengths"])).texts[0].text
    assert title.startswith("Seeds by strengths: ")
    record = recorded(WANTED["sweep"]).model_copy(update={"lora_labels": ("墨",)})
    assert laid_out(record).texts[0].text == "Strengths, the names in the record"


def test_the_sheet_is_drawn_as_it_is_laid_out() -> None:
    record = recorded(WANTED["grid"])
    pictures = {index: flat(MINI, MINI) for index in range(9)}
    paper, sheet = draw.lay_out(record, pictures), draw.draw(record, pictures)
    assert sheet.size == (paper.width, paper.height)
    for (x, y), picture in paper.pictures:
        assert sheet.crop((x, y, x + MINI, y + MINI)).tobytes() == picture.tobytes()
    title = paper.texts[0]
    drawn = sheet.crop((*title.at, title.at[0] + 300, title.at[1] + 30)).getcolors(1 << 16)
    assert drawn is not None
    assert {ImageColor.getrgb(INK), ImageColor.getrgb(PAPER)} <= {colour for _, colour in drawn}
