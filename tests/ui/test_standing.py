"""A picture stands with its own contract: among others, and compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.ui.conftest import PATIENCE, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def quick(page: Page, steps: int = 2) -> None:
    """Few steps, so that a picture costs little."""
    page.get_by_role("button", name=re.compile("^Settings")).click()
    page.get_by_label("Steps").fill(str(steps))
    page.locator("#contract .ls-cell", has_text="Steps").get_by_text("you").wait_for()


def generate(page: Page) -> str:
    """The plan of the picture that was made."""
    page.locator("#generate:enabled").click()
    page.locator("#contract [data-state=proven]").wait_for(timeout=PATIENCE)
    page.locator("#generate:enabled", has_text="Generate").wait_for()
    return plan_of(page, "#contract header")


def plan_of(page: Page, where: str) -> str:
    return str(page.locator(f"{where} code").first.get_attribute("title"))


def seed_of(page: Page) -> str:
    return page.locator("#picture .ls-of .ls-figure").inner_text()


def test_several_pictures_each_keep_their_receipt(open_page: Open, server: Server) -> None:
    page = open_page()
    quick(page, 20)
    page.get_by_label("Images").fill("2")
    page.locator("#bar", has_text="2 pictures").wait_for()
    before = len(server.pictures())
    page.locator("#generate:enabled").click()
    page.locator("#bar", has_text="left").wait_for()
    page.locator("#contract [data-state=proven]").wait_for(timeout=PATIENCE)
    tiles = page.locator("#strip [data-pick]")
    assert tiles.count() == 2
    last = page.locator("#picture .ls-receipt").inner_text()
    seed = int(seed_of(page))
    tiles.nth(1).click()
    page.locator("#picture .ls-of", has_text=str(seed - 1)).wait_for()
    assert page.locator("#picture .ls-receipt").inner_text() != last
    downloads: list[str] = []
    page.on("download", lambda each: downloads.append(each.suggested_filename))
    with page.expect_event("download", lambda _: len(downloads) == 2):
        page.get_by_role("button", name="Download all").click()
    assert set(downloads) == {path.name for path in server.pictures()[before:]}

    # A fraction of a seed is named, and minus one is drawn.
    page.get_by_label("Seed", exact=True).fill("2.5")
    page.locator("#contract [data-code=not_whole]").wait_for()
    assert page.locator("#generate").is_disabled()
    page.get_by_label("Seed", exact=True).fill("-1")
    page.locator("#bar", has_text="drawn").wait_for()


def test_compare_with_base_is_about_that_very_picture(open_page: Open, server: Server) -> None:
    page = open_page()
    quick(page)
    generate(page)
    name = server.pictures()[-1].name
    page.get_by_role("tab", name="Gallery").click()
    page.locator(".ls-thumb:not(.ls-thumb-many)").first.click()
    page.get_by_role("button", name="Compare with base").click()
    page.locator("#forecast", has_text="3 cells, 1 of them in the gallery already").wait_for()
    page.locator("#compare:enabled").click()
    page.locator("#seal [data-verdict=valid]").wait_for(timeout=PATIENCE)
    reused = page.locator("#cells figure", has_text="from the gallery").locator("img")
    assert name in str(reused.get_attribute("src"))

    page.get_by_role("tab", name="Studio").click()
    page.locator("#mode").get_by_text("Base", exact=True).click()
    page.locator("#contract [data-state=ready]").get_by_text("none", exact=True).first.wait_for()
    generate(page)
    page.get_by_role("tab", name="Gallery").click()
    page.get_by_role("button", name="Back to all pictures").click()
    page.locator(".ls-thumb:not(.ls-thumb-many)").first.click()
    page.locator("#opened").get_by_role("button", name="Verify").wait_for()
    assert page.get_by_role("button", name="Compare with base").is_hidden()
