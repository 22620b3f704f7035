"""The Models tab in a real browser: from a link to a picture, against a site on loopback."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studio.library.preset_files import LocalPresets
from studio.presets import LoraPreset
from tests.library.test_library import lora_file
from tests.support.sites import KEY, Site, serving
from tests.ui.conftest import PATIENCE, Server, pick_lora, studio_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PRESETS = """
models:
  - slug: tiny
    label: Tiny
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: sd15
    settings: {steps: 2, guidance_scale: 3.0, default_width: 64, default_height: 64,
               dtype: float32, scheduler: DDIMScheduler}
loras:
  - {slug: bare, label: Bare, base_architecture: sd15, air: "urn:air:sd1:lora:civitai:1000@7"}
  - {slug: wash, label: Wash, base_architecture: sd15, theme: painting,
     air: "urn:air:sd1:lora:civitai:2000@9"}
  - {slug: slow, label: Slow, base_architecture: sd15, air: "urn:air:sd1:lora:civitai:3000@11"}
"""


@pytest.fixture(scope="module")
def site(tiny_loras: dict[str, Path]) -> Iterator[Site]:
    with serving() as served:
        served.publish(7, tiny_loras["plain"].read_bytes(), name="Pen & Ink v1.safetensors")
        data = tiny_loras["other"].read_bytes()
        served.publish(9, data, model=2000, name="wash.safetensors", trainedWords=["wtrwash"])
        served.publish(11, tiny_loras["text"].read_bytes(), model=3000, name="slow.safetensors")
        yield served


@pytest.fixture(scope="module")
def place(
    site: Site, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """A studio with a base and two LoRAs that have nothing but their AIRs."""
    folder = tmp_path_factory.mktemp("downloading")
    shutil.copytree(tiny_base, folder / "models/base")
    (folder / "presets").mkdir()
    (folder / "presets/tiny.yaml").write_text(PRESETS)
    environment = {
        "MODEL_BASE_PATH": str(folder / "models"),
        "OUTPUTS": str(folder / "outputs"),
        "PRESETS": str(folder / "presets"),
        "LOCAL_PRESETS": str(folder / "local.yaml"),
        "CIVITAI_BASE_URL": site.url,
        "DOWNLOAD_HOSTS": site.storage_url,
        "CIVITAI_API_KEY": KEY,
    }
    with studio_at(folder, environment) as url:
        yield Server(url, folder / "outputs"), folder
    assert KEY not in (folder / "log").read_text(errors="replace")


@pytest.fixture
def page(browser: Browser, place: tuple[Server, Path]) -> Iterator[Page]:
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(place[0].url)
    opened.locator("#contract [data-state=ready]").wait_for(state="attached")
    yield opened
    assert KEY not in opened.content()
    context.close()
    assert not errors, errors


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).locator("visible=true").first.click()
    page.get_by_role("option", name=option, exact=True).click()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def settle(page: Page) -> None:
    """The base and no LoRA of the first request; the mode follows."""
    choose(page, "Base", "Tiny · Stable Diffusion 1.5")
    page.locator("#contract [data-state=violations]").wait_for()
    page.locator("#lora-0").get_by_role("button", name=re.compile("Remove")).click()
    page.locator("#contract [data-state=ready]").get_by_text("Tiny").first.wait_for()


def test_from_a_link_to_a_picture(page: Page, site: Site, place: tuple[Server, Path]) -> None:
    """Link → preset, everything prefilled → download with progress → used in a run."""
    stored = site.files["Pen & Ink v1.safetensors"]
    stored.pace, stored.block = 0.3, len(stored.data) // 100
    tab(page, "Models")
    page.get_by_role("button", name="Add a preset").click()
    form = page.locator("#preset-form")
    form.get_by_label("Link, AIR, repository or file").fill(
        f"{site.url}/models/1000/pen-and-ink?modelVersionId=7"
    )
    form.get_by_role("button", name="Look it up").click()
    form.get_by_text("From CivitAI:").wait_for()
    assert form.get_by_label("Trigger words").input_value() == "phrsink, pen and ink illustration"
    form.get_by_label("Slug").fill("Not A Slug")
    form.get_by_role("button", name="Save preset").click()
    form.get_by_text("slug is 'Not A Slug'").wait_for()
    form.get_by_label("Slug").fill("pen-and-ink")
    form.get_by_role("button", name="Save and download").click()
    page.locator("#transfer [role=progressbar]").wait_for()
    page.locator("#transfer").get_by_text(re.compile(r"kB of .*/s")).wait_for()
    stored.pace = 0  # it was seen: let the rest come at once
    page.locator("#transfer").get_by_text("Fetched, checked and in its place").wait_for()
    page.locator("#preset").get_by_text("What CivitAI says").wait_for()
    assert "pen-and-ink" in (place[1] / "local.yaml").read_text()

    page.get_by_role("button", name="Use in Studio").click()
    ready = page.locator("#contract [data-state=ready]")
    ready.get_by_text("Tiny").first.wait_for()
    assert page.get_by_label("Base", exact=True).first.input_value().startswith("Tiny")
    ready.get_by_text("phrsink").first.wait_for()
    page.locator("#generate:enabled").click()
    page.locator("#contract [data-state=proven]").wait_for()
    assert "phrsink" in page.locator("#contract").inner_text()


def test_a_run_shows_what_it_will_fetch_and_fetches_it(page: Page, site: Site) -> None:
    settle(page)
    pick_lora(page, "wash")
    sheet = page.locator("#contract [data-state=fetch]")
    sheet.get_by_text("from CivitAI, version 9, SHA-256").wait_for()
    known = sheet.locator(".ls-provisional").inner_text()
    assert "a penguin on a blue background" in known
    assert "Steps" in known
    assert "model" in known, "each setting with who said it"
    assert site.asked("storage", "wash") == []
    page.locator("#generate:enabled").click()
    page.locator("#contract [data-state=proven]").wait_for()
    assert len(site.asked("storage", "wash")) == 1


def test_a_download_can_be_cancelled_and_goes_on_later(page: Page, site: Site) -> None:
    stored = site.files["slow.safetensors"]
    # Minutes of transfer, so that a busy machine still clicks before its end.
    stored.pace, stored.block = 0.5, len(stored.data) // 400
    tab(page, "Models")
    page.locator("#catalogue").get_by_role("button", name="Slow", exact=True).click()
    page.locator("#transfer").get_by_text("from CivitAI, version 11, SHA-256").wait_for()
    page.locator("#download").click()
    page.locator("#transfer").get_by_text(re.compile("left")).wait_for()
    page.locator("#catalogue").get_by_text(re.compile(r"downloading \d+ %")).wait_for()
    page.locator("#cancel-download").click()
    page.locator("#transfer").get_by_text("are kept for the next time").wait_for()
    stored.pace = 0
    page.locator("#download").click()
    page.locator("#transfer").get_by_text("Fetched, checked and in its place").wait_for()
    assert site.asked("storage", "slow")[-1].headers["range"].startswith("bytes=")


def test_edit_goes_over_the_written_file_visibly_and_remove_takes_it_back(
    page: Page, place: tuple[Server, Path]
) -> None:
    tab(page, "Models")
    page.locator("#catalogue").get_by_role("button", name="Bare", exact=True).click()
    page.locator("#preset h3").get_by_text("Bare").wait_for()
    page.get_by_role("button", name="Edit preset").click()
    form = page.locator("#preset-form")
    form.get_by_text("overrides this one").wait_for()
    form.get_by_label("Strength").fill("0.4")
    form.get_by_role("button", name="Save preset").click()
    page.locator("#preset").get_by_text("it overrides the one in tiny.yaml").wait_for()
    assert (place[1] / "presets/tiny.yaml").read_text() == PRESETS
    page.get_by_role("button", name="Remove preset").click()
    page.get_by_role("button", name="Remove it").click()
    page.locator("#preset").get_by_text("it overrides the one in").wait_for(state="detached")
    assert "bare" not in (place[1] / "local.yaml").read_text()


def test_the_folder_is_followed_identified_and_compared(
    page: Page, site: Site, place: tuple[Server, Path]
) -> None:
    """Files come, move, are replaced and go under the open page; presets by another process."""
    tab(page, "Models")
    page.get_by_role("button", name="Your folder").click()
    status, rows = page.locator("#library-status"), page.locator("#catalogue")
    status.get_by_text("usable").wait_for()

    def rescan() -> None:
        page.get_by_role("button", name="Rescan now").click()

    def row(name: str) -> Locator:
        return rows.get_by_role("button", name=name, exact=True)

    dropped = lora_file(place[1] / "models/new/Dropped.safetensors", 1)
    rescan()
    row("Dropped").wait_for()
    dropped = dropped.rename(dropped.with_name("Moved.safetensors"))
    rescan()
    row("Moved").wait_for()
    assert row("Dropped").count() == 0
    lora_file(dropped, 2, 768, **{"modelspec.title": "Replaced"})
    rescan()
    row("Replaced").wait_for()
    shutil.copy(dropped, dropped.with_name("Twin.safetensors"))
    site.publish(31, dropped.read_bytes(), model=5000, name="r.safetensors", baseModel="SD 1.5")
    site.list_version(5000, 31, "SD 1.5", day=1)
    site.list_version(5000, 32, "SD 1.5", day=2, name="The next one")
    rescan()
    row("Replaced").nth(1).wait_for()
    report = page.locator("#library-report")
    page.get_by_role("button", name="Ask CivitAI what they are").click()
    report.get_by_text("The next one").wait_for()
    report.get_by_text("Replaced (file), Pen & Ink v1 (CivitAI)").first.wait_for()
    page.get_by_role("button", name="Find duplicates").click()
    report.get_by_text("The same file (1)").wait_for()
    rescan()
    row("Pen & Ink").nth(1).wait_for()  # what CivitAI said is the files' name now
    find = page.get_by_label("Find", exact=True).locator("visible=true")
    find.fill("new/")
    row("Wash").wait_for(state="detached")
    page.get_by_role("button", name="Make presets of all that match").click()
    report.get_by_text("2 presets made").wait_for()
    find.fill("")
    mine = LoraPreset(
        slug="elsewhere",
        label="Made elsewhere",
        base_architecture="sd15",
        path="none.safetensors",
        trigger="none",
    )
    LocalPresets(place[1] / "local.yaml").put(mine)
    rescan()
    row("Made elsewhere").wait_for()
    shutil.rmtree(dropped.parent)
    LocalPresets(place[1] / "local.yaml").remove("elsewhere")
    rescan()
    row("Made elsewhere").wait_for(state="detached")


def test_filters_and_cards(page: Page) -> None:
    tab(page, "Models")
    rows = page.locator("#catalogue")
    rows.get_by_role("button", name="Wash", exact=True).wait_for()
    choose(page, "Theme", "painting")
    rows.get_by_role("button", name="Bare", exact=True).wait_for(state="detached")
    page.get_by_text("Cards", exact=True).click()
    rows.locator(".ls-lora-card").first.wait_for()
    assert rows.locator(".ls-lora-card").count() == 1
    for width in (390, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
