"""A visitor's own LoRA on the page: sent, chosen, drawn with, removed, and nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect

from studio.errors import LoraNotTaken
from studio.gallery.record_png import read_record
from studio.settings import Settings
from studio.ui.own_api import demand_bringing
from tests.support.made_loras import titled_lora
from tests.support.sites import TOKEN, serving
from tests.ui.conftest import PATIENCE, studio_at

TITLE = "Okapi"


@contextmanager
def visitor(browser: Browser, url: str) -> Iterator[Page]:
    """A page in a browser of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.locator("#contract [data-state=ready]").wait_for(state="attached", timeout=PATIENCE)
    yield page
    context.close()


def test_it_is_sent_and_used_by_its_visitor_alone(browser: Browser, tmp_path: Path) -> None:
    expect.set_options(timeout=PATIENCE)
    large = tmp_path / "large.safetensors"
    large.write_bytes(bytes(2**21 + 1))
    wanted = {"PUBLIC": "1", "OUTPUTS": str(tmp_path / "outputs"), "VISITOR_LORA_MB": "2"}
    with studio_at(tmp_path, wanted) as url, visitor(browser, url) as page:
        page.locator("#own-lora button").first.click()
        sender = page.locator("#own-lora-file")
        sender.locator("input").set_input_files(large)
        expect(sender.locator("output")).to_contain_text("VISITOR_LORA_MB")
        sender.locator("input").set_input_files(titled_lora(tmp_path, TITLE))
        expect(page.locator("#own-lora-line")).to_contain_text(TITLE)
        expect(page.locator("#lora-1")).to_contain_text(TITLE)  # beside the one of a new page
        expect(sender.locator("li")).to_have_text([TITLE])
        page.locator("#contract [data-state=ready]").wait_for(state="attached")
        page.get_by_role("button", name="Generate").click()
        picture = made(page, tmp_path)
        assert TITLE in {use.label for use in read_record(picture).plan.loras}
        with visitor(browser, url) as other:
            other.locator("#add-lora [data-browse]").first.click()
            dialog = other.get_by_role("dialog")
            dialog.get_by_label("Find").fill(TITLE)
            expect(dialog).to_contain_text("None of")
            dialog.get_by_role("button", name="Close").click()
            other.locator("#own-lora button").first.click()
            expect(other.locator("#own-lora-file li")).to_have_count(0)
        page.get_by_role("button", name="Remove my LoRAs").click()
        expect(sender.locator("li")).to_have_count(0)
        assert not list((tmp_path / "outputs").rglob("quagga*"))
        page.get_by_role("tab", name="Gallery").click()
        expect(page.locator("#gallery .ls-thumb")).to_have_count(1)
        page.locator("#my-pictures button").first.click()
        page.get_by_role("button", name="Delete everything of mine").click()
        with page.expect_navigation():  # nothing of what was there stays on the page
            page.get_by_role("button", name="Delete everything", exact=True).click()
        assert not picture.exists()


def made(page: Page, folder: Path) -> Path:
    """The first picture, once it is there."""
    for _ in range(PATIENCE // 100):
        found = [*(folder / "outputs").glob(".visitors/*/*/2*/*.png")]
        if found:
            return found[0]
        page.wait_for_timeout(100)
    pytest.fail("no picture was made")


def test_a_program_brings_one_for_its_session_alone(tmp_path: Path) -> None:
    wanted = {"PUBLIC": "1", "OUTPUTS": str(tmp_path / "outputs"), "VISITOR_LORA_MB": "2"}
    file = titled_lora(tmp_path, TITLE)
    with studio_at(tmp_path, wanted) as url:
        mine, other = (Client(url, verbose=False) for _ in range(2))
        to = mine.predict(api_name="/bring_lora")["send_to"]
        place = f"{url.rstrip('/')}{to}"
        sent = requests.post(f"{place}{file.name}", data=file.read_bytes(), timeout=60)
        assert sent.status_code == 200, sent.text
        request = {
            "base": "mini",
            "mode": "lora",
            "prompt": "a rocket",
            "loras": [{"slug": sent.text}],
            "settings": {"steps": 1},
            "seed": 1,
        }
        assert len(mine.predict(request, api_name="/plan")["fingerprint"]) == 64
        assert mine.predict(request, api_name="/generate")["images"]
        refused = other.predict(request, api_name="/plan")
        assert {each["code"] for each in refused["violations"]} == {"unknown_lora"}
        large = requests.post(f"{place}large.safetensors", data=bytes(2**21 + 1), timeout=60)
        assert (large.status_code, "VISITOR_LORA_MB" in large.text) == (409, True)
        wrong = mine.predict(7, api_name="/bring_lora")
        assert wrong["error"]["code"] == "request"
        elsewhere = mine.predict("https://example.org/x.safetensors", api_name="/bring_lora")
        assert elsewhere["error"]["message"]


def test_a_program_has_one_fetched_from_the_hub_with_a_token_of_its_own(tmp_path: Path) -> None:
    source = "hf:someone/ink/ink.safetensors"
    with serving() as site:
        wanted = {
            "PUBLIC": "1",
            "OUTPUTS": str(tmp_path / "outputs"),
            "HF_ENDPOINT": site.url,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_TOKEN": "hf_the-key-of-the-pages-owner",
            "DOWNLOAD_HOSTS": site.storage_url,
        }
        file = titled_lora(tmp_path, TITLE)
        site.repositories["someone/ink"] = {"ink.safetensors": file.read_bytes()}
        site.gated.add("someone/ink")
        with studio_at(tmp_path, wanted) as url:
            mine, other = (Client(url, verbose=False) for _ in range(2))
            refused = mine.predict(source, api_name="/bring_lora")
            assert refused["error"]["code"] == "gated"
            assert site.keys_at("api") == [], "the owner's key opens nothing for a visitor"
            job = mine.submit(source, TOKEN, api_name="/bring_lora")
            slug = job.result()["slug"]
            assert set(site.keys_at("api")) == {f"Bearer {TOKEN}"}
            *told, last = job.outputs()
            assert last == {"slug": slug}
            assert told
            assert all(each["progress"]["stage"] for each in told)
            request = {
                "base": "mini",
                "mode": "lora",
                "prompt": "a rocket",
                "loras": [{"slug": slug}],
                "seed": 1,
            }
            (use,) = mine.predict(request, api_name="/plan")["plan"]["loras"]
            assert use["source"].startswith("huggingface:someone/ink/ink.safetensors")
            unknown = other.predict(request, api_name="/plan")
            assert {each["code"] for each in unknown["violations"]} == {"unknown_lora"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"PUBLIC": "0"}, "owner"),
        ({"PUBLIC": "1", "WORKERS": "2"}, "WORKERS"),
        ({"PUBLIC": "1", "VISITOR_LORAS": "0"}, "VISITOR_LORAS"),
    ],
)
def test_where_nobody_brings_any_the_refusal_says_why(
    changes: dict[str, str], why: str, tmp_path: Path
) -> None:
    with pytest.raises(LoraNotTaken, match=why) as refusal:
        demand_bringing(Settings.from_env(changes, tmp_path))
    assert refusal.value.code == "own_loras_closed"
    demand_bringing(Settings.from_env({"PUBLIC": "1"}, tmp_path))
