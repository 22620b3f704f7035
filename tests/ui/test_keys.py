"""Small screens and keys: what is in sight, what a key does, and where the focus stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.ui.conftest import PATIENCE
from tests.ui.test_standing import generate, quick

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def is_in_sight(page: Page, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def has_focus(page: Page, selector: str) -> None:
    page.wait_for_function(
        "selector => document.activeElement.matches(selector)", arg=selector, timeout=PATIENCE
    )


def test_a_run_is_in_sight_on_a_phone(open_page: Open) -> None:
    page = open_page(390, 844)
    page.get_by_label("Prompt", exact=True).focus()
    page.keyboard.press("Control+Enter")
    page.locator("#bar .ls-progress").wait_for()
    assert is_in_sight(page, "#bar .ls-progress")
    assert is_in_sight(page, "#cancel")
    page.locator("#picture .ls-of").wait_for(timeout=PATIENCE)
    page.locator(".ls-compact summary", has_text="Proven").wait_for()
    page.wait_for_function("document.querySelector('#picture').getBoundingClientRect().top < 60")
    assert is_in_sight(page, "#picture .ls-frame")
    page.get_by_role("tab", name="Models").click()
    page.locator("#catalogue").get_by_role("button", name="Pen & Ink (mini)").click()
    page.locator("#preset h3").first.wait_for()
    assert is_in_sight(page, "#preset h3")
    page.locator("#preset").get_by_role("button", name="Close").click()
    has_focus(page, "#catalogue .ls-picked button")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_list_closes_when_tab_leaves_it_and_a_laptop_shows_what_it_opens(
    open_page: Open,
) -> None:
    page = open_page(1366, 768)
    page.get_by_label("Base", exact=True).first.click()
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Tab")
    page.get_by_role("option").first.wait_for(state="detached")

    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Steps").wait_for()
    page.wait_for_function(
        "document.querySelector('.ls-settings').getBoundingClientRect().top < 60"
    )
    assert is_in_sight(page, ".ls-settings input[type=number]")
    page.get_by_label("Width").fill("130")
    problem = page.locator(".ls-field", has=page.get_by_label("Width")).locator(".ls-problem")
    problem.wait_for()
    page.wait_for_timeout(300)
    hint, bar = problem.bounding_box(), page.locator(".ls-actions").first.bounding_box()
    assert hint is not None
    assert bar is not None
    assert hint["y"] + hint["height"] <= bar["y"] + 2, "the bar hides no sentence"


def test_the_gallery_is_reviewed_with_keys(open_page: Open) -> None:
    page = open_page()
    quick(page)
    generate(page)
    generate(page)
    page.get_by_role("tab", name="Gallery").click()
    page.locator("#gallery .ls-thumb:not(.ls-thumb-many)").first.wait_for()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    keys.get_by_text("Approve", exact=True).first.wait_for()
    page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
    first = page.locator("#gallery .ls-thumb:not(.ls-thumb-many)").first
    name = first.get_attribute("data-pick")
    first.focus()
    page.keyboard.press("Enter")
    has_focus(page, "#opened .ls-back")
    page.keyboard.press("ArrowRight")
    page.locator("#opened .ls-file", has_text=str(name).split("/")[-1]).wait_for(state="detached")
    page.keyboard.press("ArrowLeft")
    page.locator("#opened .ls-file", has_text=str(name).split("/")[-1]).wait_for()
    page.locator("#review").get_by_label("Reviewer").fill("Anna")
    page.locator("#opened .ls-back").focus()
    page.keyboard.press("a")
    line = page.locator("#review li", has_text="Approved")
    line.wait_for()
    box = line.locator(".ls-origin").bounding_box()
    assert box is not None
    assert box["height"] < 40, "a decision is a line, not a column of letters"
    page.keyboard.press("Escape")
    page.locator("#gallery").wait_for()
    has_focus(page, f"#gallery [data-pick='{name}']")


def test_a_blind_vote_takes_keys(open_page: Open) -> None:
    page = open_page()
    quick(page)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#forecast", has_text="3 cells").wait_for()
    page.locator("#compare:enabled").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator("#seal [data-verdict=valid]").wait_for(timeout=PATIENCE)
    page.locator("#start-blind").click()
    page.locator("#blind-pair img").first.wait_for()
    page.keyboard.press("1")
    page.locator("#tally .ls-tally").wait_for()
    page.wait_for_timeout(400)
    assert is_in_sight(page, "#tally .ls-tally h2")
