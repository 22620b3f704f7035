"""axe-core finds nothing, of any rank, on any tab, in light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from axe_playwright_python.base import AXE_SCRIPT

from tests.ui.conftest import PATIENCE, Server
from tests.ui.test_standing import generate, quick

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RUN = """async () => (await axe.run()).violations.flatMap(rule => rule.nodes.map(
    node => `${rule.impact} ${rule.id}: ${node.html.slice(0, 160)}`))"""

Scheme = Literal["dark", "light"]
SCHEMES: tuple[Scheme, ...] = ("dark", "light")
DRAWN = """dark => document.body.classList.contains('dark') === dark
    && !document.getAnimations().some(each => each instanceof CSSTransition)"""
"""The scheme is there, and no colour fades any more: it would be read half-way."""


class Walk:
    """A page, and what axe-core found in each of its states."""

    def __init__(self, page: Page, schemes: tuple[Scheme, ...] = SCHEMES) -> None:
        self.page = page
        self.schemes = schemes
        self.faults: list[str] = []
        page.evaluate(AXE_SCRIPT)

    def look(self, where: str) -> None:
        """In each scheme, which the page takes from the system, and ends in the last."""
        for scheme in self.schemes:
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_function(DRAWN, arg=scheme == "dark")
            faults = self.page.evaluate(RUN)
            self.faults += [f"{where}, {scheme}: {fault}" for fault in faults]

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()


def test_axe_finds_nothing(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    page.locator("#contract [data-state=ready]").wait_for()
    walk = Walk(page)
    studio(walk)
    compare(walk)
    trials(walk)
    gallery(walk)
    models(walk)
    context.close()
    assert not walk.faults, "\n".join(walk.faults)


def studio(walk: Walk) -> None:
    page = walk.page
    walk.look("Studio")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    walk.look("keys")
    page.keyboard.press("Escape")
    page.get_by_label("Prompt", exact=True).fill("a penguin " + "on a blue background " * 90)
    page.locator("#contract .ls-long").wait_for()
    walk.look("a long prompt")
    page.get_by_label("Prompt", exact=True).fill("a penguin on a blue background")
    quick(page)
    generate(page)
    generate(page)
    walk.look("a picture")
    page.get_by_label("Width").fill("130")
    page.locator("#contract [data-state=violations]").wait_for()
    walk.look("a violation")
    page.get_by_label("Width").fill("")
    page.locator("#contract [data-state=ready]").wait_for()


def compare(walk: Walk) -> None:
    page = walk.page
    walk.tab("Compare")
    page.locator("#compare:enabled").wait_for()
    walk.look("Compare")
    page.get_by_label("Seeds", exact=True).fill("99")
    page.locator(".ls-compare-problems").wait_for()
    walk.look("a comparison that cannot be made")
    page.get_by_label("Seeds", exact=True).fill("1")
    page.locator("#compare:enabled").click()
    page.locator("#seal [data-verdict=valid]").wait_for()
    walk.look("a comparison")
    page.locator("#start-blind").click()
    page.locator("#blind-pair img").first.wait_for()
    walk.look("a blind vote")
    page.locator("#vote-equal").click()
    page.locator("#tally .ls-tally").wait_for()
    walk.look("a tally")


def trials(walk: Walk) -> None:
    """A new one; what one shows is looked at where one is made."""
    walk.tab("Trials")
    walk.page.locator("#trial-runs button").first.click()
    walk.page.locator("#begin-trial:enabled").wait_for()
    walk.look("a new trial")


def gallery(walk: Walk) -> None:
    page = walk.page
    walk.tab("Gallery")
    page.locator("#gallery .ls-thumb").first.wait_for()
    walk.look("Gallery")
    page.locator("#gallery .ls-thumb:not(.ls-thumb-many)").first.click()
    page.locator("#opened [data-state=proven]").wait_for()
    walk.look("an opened picture")
    page.locator("#opened a[data-large]").click()
    page.get_by_role("dialog", name="The picture in large").wait_for()
    walk.look("a large picture")
    page.keyboard.press("Escape")


def models(walk: Walk) -> None:
    page = walk.page
    walk.tab("Models")
    page.locator("#catalogue").get_by_role("button", name="Pen & Ink (mini)").click()
    page.locator("#preset h3").first.wait_for()
    walk.look("Models")
    page.get_by_text("Cards", exact=True).click()
    page.locator("#catalogue .ls-cards").first.wait_for()
    walk.look("cards")
    page.locator("#add-preset").click()
    page.locator("#preset-form").wait_for()
    walk.look("a new preset")
