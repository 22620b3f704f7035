"""The Compare tab in a real browser: base against LoRA, four arms, the slider, a blind vote."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from studio.comparison.votes import BlindVote
from studio.gallery.comparisons.files import JSON_SUFFIX, VOTES_SUFFIX, read
from tests.ui.conftest import PATIENCE, Server

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def ready(open_page: Open, seed: int) -> Page:
    """The Compare tab over a request of two steps, which says enough and costs little."""
    page = open_page()
    page.get_by_role("button", name=re.compile("^Settings")).click()
    page.get_by_label("Steps").fill("2")
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.locator("#contract .ls-cell", has_text="Steps").get_by_text("you").wait_for()
    page.locator("#contract header", has_text=f"seed {seed}").or_(
        page.locator("#contract .ls-identity", has_text=str(seed))
    ).first.wait_for()
    tab(page, "Compare")
    page.locator("#compare:enabled").wait_for()
    return page


def compare(page: Page, cells: int) -> Locator:
    page.locator("#forecast", has_text=f"{cells} cells").wait_for()
    page.locator("#compare:enabled").click()
    seal = page.locator("#seal [data-verdict=valid]")
    seal.wait_for(timeout=PATIENCE)
    return seal


def test_base_against_lora_under_one_slider(open_page: Open, server: Server) -> None:
    page = ready(open_page, seed=71)
    before = len(server.pictures())
    seal = compare(page, cells=3)
    assert "Valid comparison" in seal.inner_text()
    assert "The LoRA and the trigger words differ." in seal.inner_text()
    captions = page.locator("#cells figcaption").all_inner_texts()
    assert [text.splitlines()[0] for text in captions] == ["Base", "LoRA with trigger", "Base"]
    slider = page.locator("#slider")
    slider.locator("img").first.wait_for()
    assert slider.locator("img").count() == 2
    page.locator("#numbers", has_text="Mean absolute difference").wait_for()
    assert "not what differs" in page.locator("#numbers").inner_text()
    page.get_by_text("Side by side", exact=True).click()
    page.locator("#sides .ls-lens img").first.wait_for()
    page.get_by_role("button", name="Zoom in").click()
    zoomed = page.locator("#sides .ls-lens img").evaluate_all(
        "images => images.map((image) => image.style.transform)"
    )
    assert zoomed[0] == zoomed[1] != ""
    page.get_by_text("Difference", exact=True).click()
    page.locator("#difference img").wait_for()
    review = page.locator("#cell-review")
    review.get_by_label("Reviewer").fill("Anna")
    review.get_by_label("Note on this picture").fill("clean lines")
    review.get_by_role("button", name="Approve").click()
    review.locator("li", has_text="Approved clean lines").wait_for()
    page.get_by_role("button", name="Verify all cells").click()
    page.get_by_text("Verified: the record, the contact sheet").wait_for()
    # Three pictures and the contact sheet.
    assert len(server.pictures()) == before + 4


def test_four_arms_and_a_blind_vote(open_page: Open, server: Server) -> None:
    page = ready(open_page, seed=72)
    page.locator("#kind").get_by_text("Four arms").click()
    page.locator("#forecast", has_text="6 cells").wait_for()
    seeds = page.locator("#seeds input")
    seeds.fill("2")
    seeds.blur()
    compare(page, cells=10)
    heads = page.locator("#cells table").first.locator("th").all_inner_texts()
    assert heads == ["LoRA off", "LoRA on", "trigger off", "trigger on"]
    assert page.locator("#cells figure[data-state=done]").count() == 10
    assert "LoRA at strength 0" in page.locator("#cells .ls-controls").inner_text()
    page.locator("#numbers", has_text="Paired effect over the seeds").wait_for()
    page.locator("#start-blind").click()
    page.locator("#blind-pair img").first.wait_for()
    assert_nothing_leaks(page)
    page.keyboard.press("1")
    page.get_by_text("Pair 2 of 2").wait_for()
    page.locator("#vote-equal").click()
    tally = page.locator("#tally .ls-tally")
    tally.wait_for()
    page.wait_for_function(
        "document.querySelector('#tally h2').getBoundingClientRect().top < innerHeight"
    )
    assert re.search(r"preferred in [01] of 1 \(95 % interval", tally.inner_text())
    assert_votes_are_kept(server)

    page.locator("#start-blind").click()
    page.locator("#blind-pair img").first.wait_for()
    tab(page, "Gallery")
    item = page.locator(".ls-thumb-many", has_text="Four arms").first
    item.wait_for()
    assert item.locator(".ls-badge").inner_text() == "Valid"
    item.click()
    page.locator("#seal [data-verdict=valid]", has_text="Four arms").wait_for()
    page.locator("#tally .ls-tally").wait_for()
    for part in ("#cells", "#look", "#kind", "#compare", "#start-blind"):
        page.locator(part).wait_for()
    assert page.locator("#blind").is_hidden()
    page.get_by_role("button", name="Delete comparison").click()
    page.get_by_role("button", name="Delete it").click()
    page.locator("#start-blind").wait_for(state="hidden")
    assert page.locator("#compare").is_visible()


def assert_nothing_leaks(page: Page) -> None:
    """While the vote goes on, nothing on the page says which picture is which."""
    assert page.locator("#cells").is_hidden()
    assert page.locator("#compare").is_hidden()
    markup = page.locator("#blind-pair").inner_html()
    bare = re.sub(r'src="data:image/png;base64,[^"]*"', "", markup)
    assert "src=" not in bare
    assert not re.search("lora|base|trigger|seed|cell|gradio_api", bare, re.IGNORECASE)
    sizes = page.locator("#blind-pair img").evaluate_all(
        "images => images.map((image) => [image.naturalWidth, image.clientWidth])"
    )
    assert sizes[0] == sizes[1]


def assert_votes_are_kept(server: Server) -> None:
    (path,) = server.outputs.glob(f"*/*{VOTES_SUFFIX}")
    votes = [BlindVote.model_validate_json(line) for line in path.read_text().splitlines()]
    record = read(path.with_name(path.name.replace(VOTES_SUFFIX, JSON_SUFFIX)))
    assert {vote.comparison for vote in votes} == {record.fingerprint}
    made = {cell.record_fingerprint for cell in record.cells}
    assert all({vote.left, vote.right} < made for vote in votes)
    assert [vote.choice for vote in votes][1] == "equal"


def test_both_questions_for_loras_open_the_browser_of_all(open_page: Open) -> None:
    page = ready(open_page, seed=77)
    page.locator("#kind").get_by_text("LoRA against LoRA", exact=True).click()
    other = page.locator(".ls-chosen-lora")
    other.get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="The other LoRA")
    dialog.locator("[data-pick=pen-ink-mini][aria-disabled=true]").wait_for()
    dialog.get_by_label("Find").fill("neon")
    dialog.get_by_text("1 matches").wait_for()
    dialog.locator("[data-pick=night-neon-mini]").click()
    dialog.wait_for(state="hidden")
    other.get_by_text("Night Neon (mini)").wait_for()
    page.locator("#compare:enabled").wait_for()

    page.locator("#kind").get_by_text("Grid", exact=True).click()
    page.get_by_label("Across", exact=True).click()
    page.get_by_role("option", name="LoRA", exact=True).click()
    page.get_by_role("button", name="Choose LoRAs").first.click()
    dialog = page.get_by_role("dialog", name="LoRAs of the grid")
    dialog.locator("[data-pick]").first.wait_for()
    for card in dialog.locator("[aria-pressed=true]:not([data-star])").all():
        card.click()
    for slug in ("pen-ink-mini", "night-neon-mini"):
        dialog.locator(f"[data-pick={slug}]").click()
    dialog.get_by_role("button", name="Use these").click()
    dialog.wait_for(state="hidden")
    expect(page.get_by_label("Values across")).to_have_value(
        "pen-ink-mini, night-neon-mini", timeout=PATIENCE
    )
    page.locator("#forecast", has_text="2 cells").wait_for()


def test_a_running_comparison_keeps_the_page_to_itself(open_page: Open) -> None:
    page = ready(open_page, seed=74)
    compare(page, cells=3)
    tab(page, "Studio")
    page.get_by_label("Steps").fill("200")
    page.get_by_label("Seed", exact=True).fill("75")
    page.locator("#contract [data-state=ready]", has_text="200").wait_for()
    tab(page, "Compare")
    page.locator(".ls-asked-card", has_text="seed 75").wait_for()
    page.locator("#compare:enabled").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator("#seal .ls-running").wait_for()
    page.locator("#start-blind").wait_for(state="hidden")
    tab(page, "Gallery")
    page.locator(".ls-thumb-many", has_text="Base against LoRA").first.click()
    page.locator("#compare-notice", has_text="still being made").wait_for()
    assert page.locator("#seal .ls-running").is_visible()
    assert page.locator("#stored").is_hidden()
    page.locator("#cancel-compare:enabled").click()
    page.locator("#compare:enabled").wait_for()
    page.locator("#compare-notice", has_text="still being made").wait_for(state="hidden")
    tab(page, "Gallery")
    page.locator(".ls-thumb-many", has_text="Base against LoRA").last.click()
    page.locator("#seal [data-verdict=valid]").wait_for()
    page.locator("#start-blind").wait_for()


def test_what_cannot_be_compared_is_said_beside_compare(open_page: Open) -> None:
    page = ready(open_page, seed=73)
    page.locator("#kind").get_by_text("Strengths", exact=True).click()
    page.get_by_label("Strengths to try").fill("0.4, much")
    page.locator("#forecast li[data-code=axis_value_refused]", has_text="much").wait_for()
    assert page.locator("#compare").is_disabled()
    page.get_by_label("Strengths to try").fill("0.4, 0.8")
    page.locator("#forecast", has_text="2 cells").wait_for()
    page.locator("#compare:enabled").wait_for()


def test_a_picture_of_the_gallery_is_compared_with_its_base(
    open_page: Open, server: Server
) -> None:
    page = ready(open_page, seed=71)
    tab(page, "Studio")
    page.locator("#generate:enabled").click()
    page.locator("#contract [data-state=proven]").wait_for(timeout=PATIENCE)
    tab(page, "Gallery")
    page.locator(".ls-thumb:not(.ls-thumb-many)").first.click()
    page.get_by_role("button", name="Compare with base").click()
    page.locator("#forecast", has_text="3 cells").wait_for()
    asked = page.locator(".ls-asked-card")
    asked.wait_for()
    assert "seed 71" in asked.inner_text()


def test_a_picture_becomes_the_preview_of_its_lora(open_page: Open) -> None:
    page = ready(open_page, seed=78)
    tab(page, "Studio")
    page.locator("#generate:enabled").click()
    page.locator("#contract [data-state=proven]").wait_for(timeout=PATIENCE)
    preview = page.locator("#lora-0 img").first
    before = preview.get_attribute("src")
    tab(page, "Gallery")
    page.locator(".ls-thumb:not(.ls-thumb-many)").first.click()
    page.get_by_role("button", name="Use as the preview of Pen & Ink (mini)").click()
    page.get_by_text("is shown with this picture from now on").wait_for()
    page.reload()
    assert page.locator("#lora-0 img").first.get_attribute("src") != before
