"""What is done while the answer to the last thing is on its way is neither lost nor undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from studio.trials.store import TrialStore
from tests.ui.conftest import Server
from tests.ui.test_browser import choose, contract, tab
from tests.ui.test_trials_page import trials_of

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

Open = Callable[..., "Page"]
TELLING = {"pick", "decide", "taken"}


class Held:
    """The first answer of the studio is held back until somebody lets go of it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._routes: list[Route] = []
        self._let_go = False
        page.route("**/gradio_api/run/predict**", self._hold)

    def _hold(self, route: Route) -> None:
        if self._let_go:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self) -> None:
        while not self._routes:
            self._page.wait_for_timeout(20)

    def let_go(self) -> None:
        self._let_go = True
        for route in self._routes:
            route.continue_()


def test_a_mode_that_is_chosen_while_the_prompt_is_answered_stays(open_page: Open) -> None:
    page = open_page()
    held = Held(page)
    page.get_by_label("Prompt", exact=True).fill("phrsink owl")
    held.wait()
    page.locator("#mode").get_by_text("Base", exact=True).click()
    held.let_go()
    contract(page, "violations").locator("[data-code=trigger_forbidden]").first.wait_for()
    assert page.locator("#mode").get_by_label("Base", exact=True).is_checked()


def test_a_mode_that_is_chosen_as_the_base_is_left_stays(open_page: Open) -> None:
    """A dropdown tells its input when it is left, whether another was chosen or not."""
    page = open_page()
    page.get_by_label("Prompt", exact=True).fill("phrsink owl")
    contract(page, "ready").get_by_text("owl").first.wait_for()
    held = Held(page)
    page.locator("#base input").click()
    page.locator("#base input").press("Tab")
    page.locator("#mode").get_by_text("Base", exact=True).click()
    held.wait()
    page.locator("#mode").get_by_label("Base", exact=True).and_(
        page.locator(":checked")
    ).wait_for()
    held.let_go()
    contract(page, "violations").locator("[data-code=trigger_forbidden]").first.wait_for()
    page.wait_for_timeout(500)  # an answer that wrote it back would come last
    assert page.locator("#mode").get_by_label("Base", exact=True).is_checked()


def test_values_typed_right_after_their_axis_was_chosen_stay(open_page: Open) -> None:
    page = open_page()
    tab(page, "Compare")
    page.locator("#compare:enabled").wait_for()
    page.locator("#kind").get_by_text("Grid", exact=True).click()
    across = page.get_by_label("Values across")
    across.wait_for()
    held = Held(page)
    choose(page, "Across", "strength")
    expect(across).to_have_value("0.4, 0.7, 1.0")
    across.fill("0.5..1/0.25")
    held.wait()
    held.let_go()
    page.locator("#forecast", has_text="3 cells").wait_for()
    assert across.input_value() == "0.5..1/0.25"
    choose(page, "Across", "steps")
    page.locator("#forecast", has_text="steps").wait_for()
    assert across.input_value() == "10, 20, 30"


def test_a_trial_begins_with_the_cost_that_was_shown(open_page: Open, server: Server) -> None:
    page, before = trials_of(open_page, server), TrialStore(server.outputs).names()
    page.locator("#trial-runs button", has_text="ink-run-mini").click()
    page.locator("#trial-cost [data-most='120']").wait_for()
    held = Held(page)
    page.get_by_label("Pictures at most").fill("60")
    held.wait()
    page.locator("#begin-trial:enabled").click()
    page.locator("#trial-cost [data-most='60']").wait_for()
    assert page.locator("#new-trial").is_visible()
    held.let_go()
    assert TrialStore(server.outputs).names() == before


def test_several_phrases_and_strengths_in_a_hurry_all_count(open_page: Open) -> None:
    """What is being typed when an answer comes is not wiped away by it either."""
    page = open_page()
    page.locator("#lora-0 .ls-finer summary").click()
    fields = page.locator("#lora-0 [data-finer]")
    held = Held(page)
    fields.nth(0).fill("0.4")
    fields.nth(1).fill("0.6")
    held.wait()
    fields.nth(2).fill("0.8")
    fields.nth(3).press_sequentially("0.")
    held.let_go()
    page.locator("#lora-0 .ls-finer summary", has_text="3 of its own").wait_for()
    assert [fields.nth(n).input_value() for n in range(4)] == ["0.4", "0.6", "0.8", "0."]
    phrases = page.locator("#lora-0 [data-phrase]")
    phrases.nth(0).click()
    phrases.nth(1).click()
    contract(page, "ready").locator("mark", has_text="pen and ink").first.wait_for()
    assert phrases.nth(1).get_attribute("aria-pressed") == "true"


def test_what_was_clicked_is_never_dropped_nor_told_twice(server: Server, open_page: Open) -> None:
    """By gradio's default a second click is dropped while the first is answered, as it should be
    of what is long and queued."""
    page = open_page()
    config = json.loads(page.request.get(f"{server.url}config").text())
    modes = {
        (tuple(event), each["trigger_mode"])
        for each in config["dependencies"]
        for event in each["targets"]
        if event[1] in TELLING and not each["queue"]
    }
    assert len(modes) > 10
    assert {each for each in modes if each[1] != "multiple"} == set()
