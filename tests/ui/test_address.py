"""What a reload, Back, a bookmark and a link bring: the place, and the form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from studio.library.preset_files import load
from studio.settings import BUILT_IN_PRESETS
from studio.ui.studio import kept
from tests.ui.conftest import PATIENCE, Server
from tests.ui.test_standing import generate, quick

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def leads_to(page: Page, **named: str) -> None:
    page.wait_for_url(re.compile(re.escape(f"?{urlencode(named)}") + "$"), timeout=PATIENCE)


def test_every_place_has_an_address(open_page: Open, server: Server) -> None:
    page = open_page()
    page.get_by_role("tab", name="Models").click()
    leads_to(page, tab="models")
    page.locator("#catalogue").get_by_role("button", name="Pen & Ink (mini)").click()
    leads_to(page, tab="models", preset="pen-ink-mini")
    page.get_by_role("tab", name="Studio").click()
    quick(page)
    generate(page)
    name = server.pictures()[-1].relative_to(server.outputs).as_posix()
    page.get_by_role("tab", name="Gallery").click()
    page.locator(f".ls-thumb[data-pick='{name}']").click()
    opened = page.locator("#opened .ls-opened")
    leads_to(page, tab="gallery", picture=name)

    page.go_back()
    opened.wait_for(state="hidden")
    page.locator("#gallery .ls-thumb").first.wait_for()
    leads_to(page, tab="gallery")
    page.go_forward()
    opened.wait_for()
    leads_to(page, tab="gallery", picture=name)
    page.reload()
    opened.wait_for(timeout=PATIENCE)
    leads_to(page, tab="gallery", picture=name)

    other = open_page()  # "send this to Ben"
    other.goto(page.url)
    other.locator("#opened .ls-file", has_text=name.split("/")[-1]).wait_for(timeout=PATIENCE)
    other.goto(f"{server.url}?tab=gallery&picture=2020-01-01/gone.png")
    other.locator("#to-hint .ls-problem").wait_for(timeout=PATIENCE)
    other.locator("#gallery .ls-thumb").first.wait_for()
    other.goto(f"{server.url}?tab=models&weights=present&preset=pen-ink-mini")
    other.locator("#preset h3", has_text="Pen & Ink").wait_for(timeout=PATIENCE)
    leads_to(other, tab="models", weights="present", preset="pen-ink-mini")

    other.goto(f"{server.url}?tab=gallery&mode=base&order=oldest")
    leads_to(other, tab="gallery", mode="base", order="oldest")
    assert other.get_by_label("Order").input_value() == "Oldest first"

    # The form is the browser's: there again here, and not there.
    page.get_by_role("tab", name="Studio").click()
    page.get_by_role("button", name="Settings · 1 set").wait_for()
    other.get_by_role("tab", name="Studio").click()
    other.get_by_role("button", name="Settings").wait_for()
    assert other.get_by_role("button", name="Settings ·").count() == 0


def test_a_value_that_is_not_there_any_more_is_named(tmp_path: Path) -> None:
    catalog, _ = load((BUILT_IN_PRESETS,), tmp_path / "local.yaml")
    before = kept.defaults(catalog)
    values = {**before, "prompt": "a castle", "steps": 9.0, "drawn": 7}
    sent = json.loads(json.dumps(kept.kept(values)))
    assert kept.restore(sent, catalog) == ({**values, "drawn": 0}, ())

    found = {
        **sent,
        "base": "gone",
        "scheduler": "Gone",
        "mode": ["x"],
        "strength_0": 99,
        "seed": True,
        "chosen": "pen-ink-mini",
        "references": [{"sha256": "x"}],
        "prompt": 7,
        "unknown": 1,
    }
    back, lost = kept.restore(found, catalog)
    wrong = {
        "base": "base: gone",
        "scheduler": "Scheduler: Gone",
        "mode": 'mode: ["x"]',
        "seed": "Seed: true",
        "chosen": "chosen: pen-ink-mini",
        "references": 'references: [{"sha256": "x"}]',
        "prompt": "prompt: 7",
    }
    assert set(lost) == {*wrong.values(), "strength of pen-ink-mini: 99"}
    assert {name: back[name] for name in wrong} == {name: before[name] for name in wrong}
    assert back["strength_0"] == before["strength_0"]
    assert back["steps"] == 9.0
    assert kept.restore("nonsense", catalog) == (before, ())
