"""The page in a real browser: what must never happen on it; whole paths are in test_paths.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.ui.conftest import HOSTILE, PATIENCE, ROOT, Server, pick_lora

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]


def contract(page: Page, state: str) -> Locator:
    """The sheet, once it is in ``state``."""
    sheet = page.locator(f"#contract [data-state={state}]")
    sheet.wait_for(timeout=PATIENCE)
    return sheet


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def settings(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Settings")).click()
    page.get_by_label("Steps").wait_for()


def generate(page: Page) -> Locator:
    page.locator("#generate:enabled").click()
    return contract(page, "proven")


def begin(page: Page, server: Server, steps: int) -> int:
    """Start a run of so many steps and see it move; how many pictures there were before."""
    settings(page)
    page.get_by_label("Steps").fill(str(steps))
    contract(page, "ready").get_by_text(str(steps)).wait_for()
    before = len(server.pictures())
    page.locator("#generate:enabled").click()
    page.get_by_text(re.compile(rf"Step \d+ of {steps}")).first.wait_for()
    return before


def test_a_loras_finer_strength_is_typed_in_its_row_and_stays_open(open_page: Open) -> None:
    page = open_page()
    contract(page, "ready")
    row = page.locator("#lora-0")
    row.get_by_text("Finer strength").click()
    row.get_by_label("Text encoders, ").fill("0.4")
    row.get_by_label("Text encoders, ").press("Tab")
    sheet = page.locator("#contract")
    sheet.get_by_text("in the text encoders").wait_for(timeout=PATIENCE)
    row.get_by_label("Until step, ").fill("2")
    row.get_by_label("Until step, ").press("Enter")
    sheet.get_by_text(re.compile(r"1 to 2 of \d+")).wait_for(timeout=PATIENCE)
    assert row.get_by_label("Text encoders, ").input_value() == "0.4"
    row.get_by_text("Finer strength: 2 of its own").wait_for()
    row.get_by_label("Until step, ").fill("many")
    row.get_by_label("Until step, ").press("Tab")
    page.get_by_role("alert").get_by_text("many").wait_for()


def test_the_mode_follows_visibly(open_page: Open) -> None:
    page = open_page()
    page.locator("#lora-0").get_by_role("button", name="Remove").click()
    page.get_by_text("Switched to Base because no LoRA is selected.").wait_for()
    assert page.get_by_label("Base", exact=True).and_(page.get_by_role("radio")).is_checked()
    pick_lora(page, "pen & ink")
    page.get_by_text("A LoRA was added, so the mode is LoRA with trigger.").wait_for()
    contract(page, "ready").get_by_text("LoRA with trigger").wait_for()


def test_a_violation_stands_beside_its_field_and_is_cleared(open_page: Open) -> None:
    page = open_page()
    strength = page.locator("#lora-0 input[type=number]")
    before = strength.input_value()
    strength.fill("3")
    told = page.locator("#lora-0 .ls-problem", has_text="3 is beyond this LoRA's range, 0 to 2")
    told.wait_for()
    strength.blur()
    assert strength.input_value() == before
    told.wait_for()
    strength.fill("0.5")
    told.wait_for(state="detached")
    contract(page, "ready").get_by_text("0.50").first.wait_for()
    prompt = page.locator("#prompt textarea")
    typed = prompt.input_value()
    prompt.fill("a (red rocket:1.3), [sky]")
    page.get_by_role("button", name="Put other tools' grammar into Compel's form").click()
    page.wait_for_function(
        "document.querySelector('#prompt textarea').value === 'a (red rocket)1.3, (sky)0.909'"
    )
    prompt.fill(typed)
    settings(page)
    page.get_by_label("Width").fill("130")
    sheet = contract(page, "violations")
    assert "130" in sheet.inner_text()
    page.locator(".ls-field", has=page.get_by_label("Width")).locator(".ls-problem").wait_for()
    assert page.locator("#generate").is_disabled()
    page.get_by_label("Width").fill("")
    contract(page, "ready")
    page.locator("#generate:enabled", has_text="Generate").wait_for()
    assert page.locator(".ls-request .ls-problem").count() == 0


def test_the_precision_is_chosen_in_the_settings_and_said_with_its_reason(
    open_page: Open,
) -> None:
    page = open_page()
    settings(page)
    field = page.locator(".ls-field", has=page.get_by_label("Precision", exact=True)).last
    field.get_by_text("float32 · model: The model's preset names it.").wait_for()
    choose(page, "Precision", "bfloat16")
    field.get_by_text("bfloat16 · you: You chose it.").wait_for()
    cell = contract(page, "ready").locator(".ls-cell", has_text="Precision")
    cell.get_by_text("bfloat16").wait_for(state="attached")
    choose(page, "Precision", "float16")
    field.get_by_text("which a CPU cannot compute").wait_for()
    choose(page, "Precision", "Automatic")
    contract(page, "ready")


def test_cancel_stops_within_the_run(open_page: Open, server: Server) -> None:
    page = open_page()
    settings(page)
    page.get_by_label("Steps").fill("200")
    contract(page, "ready").get_by_text("200").wait_for()
    before = len(server.pictures())
    page.locator("#generate:enabled").click()
    page.locator("#picture").get_by_text(re.compile(r"Step \d+ of 200")).wait_for()
    page.locator("#cancel:enabled").click()
    contract(page, "stopped")
    page.locator("#generate:enabled", has_text="Generate").wait_for()
    assert len(server.pictures()) == before


def test_a_run_goes_on_while_its_page_reloads(open_page: Open, server: Server) -> None:
    page = open_page()
    before = begin(page, server, 150)
    page.reload()
    page.get_by_text(re.compile(r"Step \d+ of 150")).first.wait_for()
    contract(page, "proven")
    page.locator("#picture img").first.wait_for()
    assert len(server.pictures()) == before + 1
    page.locator("#generate:enabled", has_text="Generate").wait_for()
    page.reload()
    page.locator("#strip img").first.wait_for()  # what it made stays in sight


def test_runs_wait_in_a_line_that_can_be_changed(open_page: Open, server: Server) -> None:
    page = open_page()
    before = begin(page, server, 200)
    waiting = page.locator("#waiting li")
    for count in (1, 2):
        page.locator("#generate:enabled").click()
        waiting.nth(count - 1).wait_for()
    first, second = (text.split("Put first")[0] for text in waiting.all_inner_texts())
    waiting.nth(1).get_by_role("button", name="Put first").click()
    waiting.nth(0).get_by_text(second.removesuffix("Remove").strip()).wait_for()
    waiting.nth(1).get_by_role("button", name="Remove").click()
    waiting.nth(1).wait_for(state="detached")
    page.reload()
    waiting.nth(0).wait_for()
    waiting.nth(0).get_by_role("button", name="Remove").click()
    waiting.nth(0).wait_for(state="detached")
    page.locator("#cancel:enabled").click()
    contract(page, "stopped")
    assert first != second, "each click draws another seed"
    assert len(server.pictures()) == before


def test_two_pages_do_not_see_each_other(open_page: Open) -> None:
    first, second = open_page(), open_page()
    first.locator("#lora-0").get_by_role("button", name="Remove").click()
    first.get_by_text("Switched to Base").wait_for()
    first.get_by_label("Prompt", exact=True).fill("a cat on a red background")
    # Generate runs only what the page has shown: pressed sooner, it would show the new plan first.
    contract(first, "ready").get_by_text("a cat").wait_for()
    generate(first)
    assert second.get_by_label("Prompt", exact=True).input_value() == (
        "a penguin on a blue background"
    )
    assert second.locator("#lora-0").is_visible()
    assert second.locator("#picture figure img").count() == 0
    proven = generate(second)
    assert "LoRA with trigger" in proven.inner_text()
    assert "no LoRA applied" in contract(first, "proven").inner_text()


def test_hostile_texts_are_shown_and_do_nothing(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Prompt", exact=True).fill(f"{HOSTILE} ${{window.hacked=1}} {{{{x}}}}")
    contract(page, "ready").get_by_text("onerror").first.wait_for()
    pick_lora(page, HOSTILE)
    contract(page, "violations").get_by_text("onerror").first.wait_for()
    page.locator("#lora-1").get_by_text("onerror").first.wait_for()
    tab(page, "Models")
    page.locator("#catalogue").get_by_text(HOSTILE, exact=True).click()
    page.locator("#preset h3").wait_for()
    assert page.locator("#preset h3").inner_text() == HOSTILE
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_use_these_settings_fills_the_form(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Prompt", exact=True).fill("a castle on a pink background")
    settings(page)
    page.get_by_label("Steps").fill("9")
    page.get_by_label("Seed").fill("1234")
    contract(page, "ready").get_by_text("1234").first.wait_for()
    contract(page, "ready").get_by_text("castle").wait_for()
    shown = generate(page).locator("header code").inner_text()
    other = open_page()
    tab(other, "Gallery")
    other.locator(".ls-thumb", has_text="seed 1234").first.click()
    other.get_by_role("button", name="Use these settings").click()
    ready = contract(other, "ready")
    ready.get_by_text("castle").wait_for()
    assert other.get_by_label("Prompt", exact=True).input_value() == (
        "a castle on a pink background"
    )
    assert ready.locator("header code").inner_text() == shown


def test_delete_asks_first(open_page: Open, server: Server) -> None:
    page = open_page()
    settings(page)
    page.get_by_label("Steps").fill("2")
    contract(page, "ready").get_by_text("you").first.wait_for()
    generate(page)
    newest = server.pictures()[-1]
    tab(page, "Gallery")
    page.locator(".ls-thumb").first.click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    assert newest.is_file()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete picture").click()
    page.locator("#gallery").wait_for()
    assert not newest.exists()


def test_a_page_is_served_what_it_needs_and_no_more(server: Server, open_page: Open) -> None:
    """Of events, endpoints and files.

    The browser learns that a state changed from queued events alone, and few are queued.
    """
    request = open_page().request
    config = json.loads(request.get(f"{server.url}config").text())
    states = {each["id"] for each in config["components"] if each["type"] == "state"}
    assert states
    targets = [target for each in config["dependencies"] for target in each["targets"]]
    assert [target for target in targets if target[0] in states] == []
    hidden = [each for each in config["dependencies"] if each["show_progress"] == "hidden"]
    assert [each["id"] for each in hidden if each["show_progress_on"] != []] == []
    named = json.loads(request.get(f"{server.url}gradio_api/info").text())
    assert set(named["named_endpoints"]) == {"/plan", "/generate", "/compare", "/bring_lora"}
    for name in ("index.sqlite", ".state/state.sqlite", str(ROOT / "app.py")):
        path = server.outputs / name
        assert path.is_file(), "a file that is not there would be refused for that alone"
        assert request.get(f"{server.url}gradio_api/file={path}").status == 403, name
