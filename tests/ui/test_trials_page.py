"""The Trials tab in a real browser: two clicks from nothing to a trial of the embedded run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import requests

from studio.trials.report.verification import verify_card
from studio.trials.store import StoredTrial, TrialStore
from studio.workspace.trial_desk import MINI
from tests.ui.conftest import PATIENCE, Server
from tests.ui.test_axe import Walk

if TYPE_CHECKING:
    from playwright.sync_api import Page

MIRRORED = {"left": "right", "right": "left", "equal": "equal"}
Open = Callable[..., "Page"]


def trials_of(open_page: Open, server: Server, address: str = "?tab=trials") -> Page:
    page = open_page()
    page.goto(f"{server.url}{address}")
    page.locator("#trial-runs button").first.wait_for(state="attached")
    return page


def state(page: Page, wanted: str) -> None:
    page.locator(f"#trial-head section[data-state={wanted}]").wait_for(timeout=PATIENCE)


def test_two_clicks_to_a_trial_that_is_stopped_found_again_and_taken(
    open_page: Open, server: Server
) -> None:
    page = trials_of(open_page, server)
    page.locator("#trial-runs button", has_text="ink-run-mini").click()  # the first click
    page.locator("#trial-files svg").first.wait_for()
    page.locator("#trial-cost [data-most='120']").wait_for()
    assert page.get_by_label("Trigger words", exact=True).input_value().startswith("phrsink")
    page.get_by_label("Prompts of what was trained").fill("a rocket on a blue background")
    page.get_by_label("Prompts of something else").fill("")
    page.get_by_label("Pictures at most").fill("7")
    page.locator("#trial-cost", has_text="The budget is 7").wait_for()
    page.locator("#begin-trial:disabled").wait_for()
    page.get_by_label("Pictures at most").fill("18")
    # Six files and the base, with and without the words, one seed; a second one does not fit.
    page.locator("#trial-cost [data-most='18']").wait_for()
    page.locator("#begin-trial:enabled").click()  # the second

    page.get_by_role("button", name="Stop").click()
    state(page, "stopped")
    assert re.search(r"tab=trials&trial=ink-run-mini", page.url)
    made = page.locator("#trial-head section").get_attribute("data-pictures")
    page.reload()
    state(page, "stopped")
    assert page.locator("#trial-head section").get_attribute("data-pictures") == made
    page.get_by_role("button", name="Go on").click()
    state(page, "running")
    page.reload()
    state(page, "over")
    stored = TrialStore(server.outputs).open("ink-run-mini")
    results = stored.results().values()
    assert len(results) == 16
    assert all(each.pixels for each in results)

    walk = Walk(page, ("light",))
    walk.look("a trial")
    picture = page.locator("#trial-report .grid img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    assert "controls" not in page.locator("#trial-report .report").inner_text()
    judge_by_keys(walk, stored)
    assert not walk.faults, "\n".join(walk.faults)
    page.locator("#take-arm").click()
    cards = page.locator(".ls-taken a")
    cards.first.wait_for()
    links = cards.evaluate_all("all => all.map((each) => each.href)")
    kinds = {link.rpartition(".")[2]: requests.get(link, timeout=60) for link in links}
    assert kinds.keys() == {"json", "md", "html"}
    assert "attachment" in kinds["json"].headers["content-disposition"]
    answer = verify_card(kinds["json"].text, None)
    assert answer.ok
    assert answer.card is not None
    assert answer.card.chosen is not None
    sheet = requests.get(f"{server.url}trials/ink-run-mini/sheet.html", timeout=60)
    assert verify_card(sheet.text, None).ok
    for wrong in ("trial.json", "..%2f..%2ftrial.json", "cells.jsonl"):
        asked = requests.get(f"{server.url}trials/ink-run-mini/{wrong}", timeout=60)
        assert asked.status_code == 404, wrong


def judge_by_keys(walk: Walk, stored: StoredTrial) -> None:
    """The blind tournament: a key for each side, no name of an arm anywhere, and the order."""
    page = walk.page
    page.get_by_label("Reviewer").fill("anna")
    page.locator("#judge-blind").click()
    pair = page.locator("#duel")
    for number, key in enumerate(("1", "ArrowRight", "0"), start=1):
        pair.get_by_text(f"Choice {number}.").wait_for()
        shown = pair.locator("img").evaluate_all("all => all.map((each) => each.src)")
        assert [src[:22] for src in shown] == ["data:image/png;base64,"] * 2
        assert page.locator("#trial-head").is_hidden()
        assert page.locator("#trials").is_hidden()
        page.keyboard.press(key)
    pair.get_by_text("Choice 4.").wait_for()
    walk.look("a duel")
    page.keyboard.press("Escape")
    page.locator("#trial-report", has_text="What people chose, blind").wait_for()
    walk.look("what people chose")
    duels = stored.duels()
    sides = [each.choice if not each.swapped else MIRRORED[each.choice] for each in duels]
    assert sides == ["left", "right", "equal"]
    assert {each.by for each in duels} == {"anna"}


def test_a_folder_that_holds_no_run_says_so(
    open_page: Open, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = trials_of(open_page, server)
    folder = tmp_path_factory.mktemp("one")
    first = sorted(MINI.glob("*.safetensors"))[0]
    shutil.copy(first, folder / "alone.safetensors")
    for typed, said in (
        ("nowhere/at all", "Nothing lies at"),
        (str(folder), "two files or more"),
    ):
        page.get_by_label("Or a folder, or a pattern").fill(typed)
        page.get_by_role("button", name="Look at it").click()
        page.locator("#trial-files [role=alert]", has_text=said).wait_for()
    page.get_by_label("Or a folder, or a pattern").fill(f"{MINI}/*-step000000[159]0*")
    page.keyboard.press("Enter")
    page.locator("#trial-files", has_text="3 checkpoints").wait_for()
    assert not page.locator("#begin-trial").is_hidden()
