"""Five people's ways through the page, each with what once made them stumble."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import expect

from studio.contract.receipt import RunRecord
from studio.gallery.publishing import examine_published
from tests.ui.conftest import PATIENCE, Server, pick_lora
from tests.ui.test_browser import choose, contract, settings, tab
from tests.ui.test_compare_page import compare, ready
from tests.ui.test_standing import generate, plan_of, quick, seed_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
OVERLAPS = """() => {
    const seen = [...document.querySelectorAll('button, a[href], input')].filter((each) => {
        const box = each.getBoundingClientRect();
        const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        const shown = each.checkVisibility({visibilityProperty: true, opacityProperty: true});
        return shown && each.tabIndex >= 0 && box.width > 1 && box.top >= 0
            && box.bottom <= innerHeight && at && !each.contains(at) && !at.contains(each)
            && at.matches('button:not([tabindex="-1"]), a[href]');
    });
    return seen.map((each) => each.outerHTML.slice(0, 120));
}"""
"""What can be pressed and lies under something else that can be."""


def is_in_sight(page: Page, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    across = box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    return across and box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def has_focus(page: Page, selector: str) -> None:
    page.wait_for_function(
        "selector => document.activeElement.matches(selector)", arg=selector, timeout=PATIENCE
    )


def prompt_of(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True)


def test_the_newcomer_on_a_laptop(open_page: Open) -> None:
    """README's five minutes at 1366 × 768."""
    page = open_page(1366, 768)
    assert is_in_sight(page, "#generate")
    sheet = contract(page, "ready")
    assert prompt_of(page).input_value() in sheet.inner_text()
    assert "phrsink" in sheet.locator("mark").first.inner_text()
    assert sheet.get_by_text("Offload", exact=True).first.is_hidden(), "folded under Technical"
    planned = plan_of(page, "#contract header")
    first = generate(page)
    assert first == planned
    proven = contract(page, "proven")
    assert re.search(r"\d+ of \d+ modules · scale .* · base proven", proven.inner_text())
    assert page.locator("#picture figure img").evaluate("image => image.naturalWidth") == 128
    page.evaluate("scrollTo(0, 0)")
    assert is_in_sight(page, "#picture .ls-frame"), page.evaluate(
        "['#contract', '#picture .ls-frame', '#earlier', '#bar'].map((each) => [scrollY, each,"
        " JSON.stringify(document.querySelector(each)?.getBoundingClientRect())])"
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    with Image.open(download.value.path()) as image:
        image.load()
        record = RunRecord.model_validate_json(image.info["lora-studio"])
    assert record.plan.fingerprint == first

    second = the_picture_stays_with_its_contract(page, first)
    what_is_opened_is_in_sight(page)
    what_the_base_knows_is_offered(page)
    a_violation_waits_with_its_way_out(page)
    the_gallery_gives_it_back(page, second)


def the_picture_stays_with_its_contract(page: Page, first: str) -> str:
    """Another prompt on the same seed; the plan of that picture."""
    seed = seed_of(page)
    prompt_of(page).fill("a castle on a pink background")
    page.locator("#earlier .ls-earlier").wait_for()
    contract(page, "ready").get_by_text("castle").wait_for()
    assert plan_of(page, "#picture .ls-of") == first != plan_of(page, "#contract header")
    assert "penguin" in page.locator("#picture .ls-of").inner_text()
    page.get_by_role("button", name="Its contract").click()
    contract(page, "proven")
    assert plan_of(page, "#contract header") == first
    page.locator("#earlier .ls-earlier").wait_for(state="detached")

    page.locator("#bar").get_by_role("button", name=f"Reuse seed {seed}").click()
    page.locator("#bar", has_text=f"seed {seed} held").wait_for()
    contract(page, "ready").get_by_text("castle").wait_for()
    second = generate(page)
    assert second != first
    assert seed_of(page) == seed, "only the prompt differs"

    tiles = page.locator("#strip [data-pick]")
    assert tiles.count() == 2
    tiles.nth(1).click()
    page.locator(f"#picture .ls-of code[title='{first}']").wait_for()
    assert plan_of(page, "#contract header") == first
    page.locator("#picture a[data-large]").click()
    large = page.get_by_role("dialog", name="The picture in large")
    large.get_by_text("penguin").wait_for()
    page.keyboard.press("ArrowLeft")
    large.get_by_text("castle").wait_for()
    page.keyboard.press("Escape")
    large.wait_for(state="hidden")
    has_focus(page, "#picture a[data-large]")
    page.locator("#bar").get_by_role("button", name="Draw a new seed").click()
    page.locator("#bar", has_text="drawn").wait_for()
    return second


def what_is_opened_is_in_sight(page: Page) -> None:
    page.get_by_label("Base", exact=True).first.click()
    page.get_by_role("option", name=re.compile("not on disk")).first.wait_for()
    page.keyboard.press("Tab")
    page.get_by_role("option").first.wait_for(state="detached")
    settings(page)
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
    page.get_by_label("Width").fill("")
    contract(page, "ready")


def what_the_base_knows_is_offered(page: Page) -> None:
    prompt_of(page).fill("a cat on a chair")
    sheet = contract(page, "ready")
    unknown = sheet.locator("[data-code=words_unknown]", has_text="“cat” and “chair”")
    unknown.wait_for(state="attached", timeout=PATIENCE)
    prompt_of(page).fill("a penguin on a blue background")
    page.locator("#things summary").click()
    page.locator("#things").get_by_role("button", name="owl", exact=True).click()
    sheet.get_by_text("an owl on a blue background").first.wait_for(timeout=PATIENCE)
    page.locator("#things").get_by_role("button", name="on red", exact=True).click()
    sheet.get_by_text("an owl on a red background").first.wait_for(timeout=PATIENCE)
    assert sheet.locator("[data-code=words_unknown]").count() == 0


def a_violation_waits_with_its_way_out(page: Page) -> None:
    prompt_of(page).fill("phrsink owl")
    page.locator("#mode").get_by_text("Base", exact=True).click()
    contract(page, "violations").locator("[data-code=trigger_forbidden]").first.wait_for()
    assert page.locator("#generate").is_disabled()


def the_gallery_gives_it_back(page: Page, plan: str) -> None:
    tab(page, "Gallery")
    page.locator(".ls-thumb:not(.ls-thumb-many)").first.click()
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("Verified:").wait_for()
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("Pixel-identical:").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Publish").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="-facts.png").click()
    published = examine_published(Path(download.value.path()).read_bytes())
    assert published.ok
    assert published.statement is not None
    assert plan_of(page, "#opened header") == plan
    page.get_by_role("button", name="Use these settings").click()
    contract(page, "ready").get_by_text("castle").wait_for()
    page.locator("#bar", has_text="held").wait_for()
    assert plan_of(page, "#contract header") == plan


def test_somebody_on_a_phone(open_page: Open) -> None:
    page = open_page(390, 844)
    line = page.locator(".ls-compact summary").first
    line.click()
    page.locator(".ls-compact [data-state=ready]").wait_for()
    line.click()
    prompt_of(page).focus()
    page.keyboard.press("Control+Enter")
    page.locator("#bar .ls-progress").wait_for()
    assert is_in_sight(page, "#bar .ls-progress")
    assert is_in_sight(page, "#cancel")
    page.locator("#picture .ls-of").wait_for(timeout=PATIENCE)
    page.locator(".ls-compact summary", has_text="Proven").wait_for()
    page.wait_for_function("document.querySelector('#picture').getBoundingClientRect().top < 60")
    assert is_in_sight(page, "#picture .ls-frame")
    assert page.evaluate(OVERLAPS) == []
    tab(page, "Models")
    page.locator("#catalogue").get_by_role("button", name="Pen & Ink (mini)").click()
    page.locator("#preset .ls-inspection").wait_for()
    assert is_in_sight(page, "#preset h3")
    page.locator("#preset").get_by_role("button", name="Close").click()
    has_focus(page, "#catalogue .ls-picked button")
    for name in ("Studio", "Compare", "Trials", "Gallery", "Models"):
        tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        for bottom in (False, True):
            page.evaluate(f"scrollTo(0, {'document.body.scrollHeight' if bottom else 0})")
            assert page.evaluate(OVERLAPS) == [], name


def test_the_artist_with_many_loras(open_page: Open) -> None:
    page = open_page(1440, 900)
    page.locator("#add-lora").get_by_role("button", name="Add a LoRA").click()
    dialog = page.get_by_role("dialog", name="Add a LoRA")
    dialog.get_by_text(re.compile(r"\d+ hidden: made for other architectures")).wait_for()
    dialog.locator("[data-pick=pen-ink-mini][aria-disabled=true]").wait_for()
    words = dialog.get_by_label("Find")
    words.fill("collage")
    dialog.get_by_text("made for SDXL.").first.wait_for()
    assert dialog.locator("[data-pick]").count() == 0
    dialog.get_by_role("button", name="Clear the search").click()
    star = dialog.get_by_role("button", name="Favourite: Night Neon (mini)")
    star.click()
    dialog.locator("[data-star=night-neon-mini][aria-pressed=true]").wait_for()
    dialog.get_by_label("Show").select_option("Favourites")
    dialog.get_by_text("1 matches").wait_for()
    page.keyboard.press("/")
    words.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.pick") == "night-neon-mini"
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    row = page.locator("#lora-1")
    row.get_by_text("Night Neon (mini)", exact=True).wait_for()
    sheet = contract(page, "ready")
    sheet.locator("mark", has_text="Night Neon (mini)").first.wait_for()

    row.get_by_role("spinbutton").fill("0.35")
    row.get_by_text("Reset to").wait_for()
    row.get_by_label("Use Night Neon (mini)").uncheck()
    row.get_by_text("Off: it takes no part").wait_for()
    sheet.locator("mark", has_text="Night Neon (mini)").first.wait_for(state="detached")
    row.get_by_label("Use Night Neon (mini)").check()
    sheet.get_by_text("0.35").first.wait_for(state="attached")
    row.get_by_role("button", name="Reset to").click()
    row.get_by_text("Reset to").wait_for(state="detached")
    row.get_by_role("button", name="Move Night Neon (mini) up").click()
    page.locator("#lora-0").get_by_text("Night Neon (mini)", exact=True).wait_for()
    row.get_by_role("button", name="Remove Pen & Ink (mini)").click()
    row.wait_for(state="hidden")
    pick_lora(page, "pen ink", "#lora-0")
    page.locator("#lora-0").get_by_text("Pen & Ink (mini)", exact=True).wait_for()
    contract(page, "ready")


def test_the_trainer_with_a_grid(open_page: Open) -> None:
    page = ready(open_page, seed=76)
    page.locator("#kind").get_by_text("Grid", exact=True).click()
    choose(page, "Across", "seed")
    across = page.get_by_label("Values across")
    across.and_(page.locator(":placeholder-shown")).wait_for()
    choose(page, "Across", "strength")
    expect(across).to_have_value("0.4, 0.7, 1.0")
    across.fill("0.5..1/0.25")
    pages = page.get_by_label("Prompts, a page for each")
    pages.fill("a castle | a castle")
    page.locator("#forecast li[data-code=axis_value_twice]").wait_for()
    pages.fill("a penguin on a blue background | a castle on a pink background")
    compare(page, cells=6)
    page.locator("#seal nav [aria-current=page]", has_text="castle").wait_for(timeout=PATIENCE)
    heads = page.locator("#cells th[scope=col]")
    assert [head.split()[-1] for head in heads.all_inner_texts()] == ["0.5", "0.75", "1.0"]
    assert heads.first.evaluate("head => getComputedStyle(head).position") == "sticky"
    assert "castle" in page.locator("#seal .ls-made-of").inner_text()
    page.locator("#seal nav button").first.click()
    page.locator("#seal nav [aria-current=page]", has_text="penguin").wait_for()
    page.locator("#seal .ls-made-of", has_text="penguin").wait_for()

    page.locator("#cells .ls-arm-picture").nth(1).click()
    page.locator("#cells .ls-chosen").wait_for()
    tab(page, "Studio")
    prompt_of(page).fill("a fox on a red background")
    contract(page, "ready").get_by_text("fox").wait_for()
    tab(page, "Compare")
    page.locator(".ls-asked-card", has_text="fox").wait_for()
    assert "penguin" in page.locator("#seal .ls-made-of").inner_text(), "its own prompt"
    page.get_by_role("button", name="Use its strength").click()
    tab(page, "Studio")
    contract(page, "ready").get_by_text("0.75").first.wait_for(state="attached")
    assert "fox" in prompt_of(page).input_value()
    tab(page, "Compare")
    seeds = page.locator("#seeds input")
    for wrong, code in (("2.5", "not_whole"), ("0", "out_of_range"), ("99", "too_many_cells")):
        seeds.fill(wrong)
        page.locator(f"#forecast li[data-code={code}]").wait_for()
        assert page.locator("#compare").is_disabled()


def test_a_review_team_in_two_browsers(open_page: Open, server: Server) -> None:
    anna = open_page(1440, 900)
    quick(anna)
    made = len(server.pictures())
    generate(anna)
    generate(anna)
    while len(server.pictures()) < made + 2:  # the sheet of the first says "proven" still
        anna.wait_for_timeout(100)
    before = set(server.outputs.glob(".reviews/*.jsonl"))
    tab(anna, "Gallery")
    name = anna_decides_with_keys(anna)
    (kept,) = set(server.outputs.glob(".reviews/*.jsonl")) - before
    said = json.loads(kept.read_text(encoding="utf-8"))
    assert (said["note"], said["by"]) == ("clean lines", "Anna")

    ben = open_page(1366, 768)
    tab(ben, "Gallery")
    ben.locator(f"#gallery [data-pick='{name}']").click()
    review = ben.locator("#review")
    review.locator(".ls-decisions", has_text="Anna").wait_for()
    review.get_by_role("button", name="Reject").click()
    review.get_by_text("Nobody is named as the reviewer.").wait_for()
    review.get_by_label("Reviewer").fill("Ben")
    review.get_by_role("button", name="Reject").click()
    both = review.locator(".ls-decisions", has_text="Ben")
    both.wait_for()
    assert "Anna" in both.inner_text(), "nobody's word is overwritten"
    ben.get_by_role("button", name="Back to all pictures").click()
    choose(ben, "Decisions", "Disagreed")
    ben.locator("#gallery .ls-verdict-disagreed").first.wait_for()
    expect(ben.locator("#gallery [data-select]")).to_have_count(1)
    ben.locator("#gallery [data-select]").first.check()
    ben.get_by_role("button", name="Approve selected").click()
    ben.get_by_text("1 picture decided on as Ben.").wait_for()
    ben.get_by_role("button", name="Review: agreement, downloads, scores").click()
    with ben.expect_download() as download:
        ben.get_by_role("link", name="All decisions (CSV)").click()
    assert "clean lines" in Path(download.value.path()).read_text(encoding="utf-8")
    choose(ben, "Decisions", "Approved")
    ben.locator(f"#gallery [data-pick='{name}']").wait_for()
    ben.locator("#gallery .ls-verdict-approved").first.wait_for()
    with ben.expect_download() as download:
        ben.get_by_role("link", name="ZIP of these pictures").click()
    assert zipfile.is_zipfile(download.value.path())

    anna.locator(f"#gallery [data-pick='{name}']").click()
    ben.locator(f"#gallery [data-pick='{name}']").click()
    ben.get_by_role("button", name="Delete", exact=True).click()
    ben.get_by_role("button", name="Delete picture").click()
    ben.locator("#gallery").wait_for()
    anna.locator("#review").get_by_role("button", name="Reject").click()
    anna.get_by_text("is not there any more").first.wait_for()


def anna_decides_with_keys(page: Page) -> str:
    """The picture that was approved."""
    first = page.locator("#gallery .ls-thumb:not(.ls-thumb-many)").first
    first.wait_for()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    keys.get_by_text("Approve", exact=True).first.wait_for()
    page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
    name = str(first.get_attribute("data-pick"))
    shown = page.locator("#opened .ls-file", has_text=name.split("/")[-1])
    first.focus()
    page.keyboard.press("Enter")
    has_focus(page, "#opened .ls-back")
    page.keyboard.press("ArrowRight")
    shown.wait_for(state="detached")
    page.keyboard.press("ArrowLeft")
    shown.wait_for()
    page.locator("#review").get_by_label("Reviewer").fill("Anna")
    page.locator("#review").get_by_label("Note on this picture").fill("clean lines")
    page.locator("#opened .ls-back").focus()
    page.keyboard.press("a")
    line = page.locator("#review li", has_text="Approved clean lines")
    line.wait_for()
    box = line.locator(".ls-origin").bounding_box()
    assert box is not None
    assert box["height"] < 40, "a decision is a line, not a column of letters"
    page.keyboard.press("Escape")
    page.locator("#gallery").wait_for()
    has_focus(page, f"#gallery [data-pick='{name}']")
    return name
