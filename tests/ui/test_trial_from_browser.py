"""A training run is recognised among the LoRA browser's cards and taken to Trials."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studio.settings import BUILT_IN_PRESETS
from studio.workspace.trial_desk import MINI
from tests.ui.conftest import PATIENCE, studio_at
from tests.ui.test_axe import Walk

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio whose library holds four checkpoints of a run, and a LoRA of none."""
    folder = tmp_path_factory.mktemp("runs")
    loras = folder / "models" / "loras"
    loras.mkdir(parents=True)
    for path in sorted(MINI.glob("*.safetensors"))[:4]:
        shutil.copy(path, loras / path.name.replace("ink-run-mini", "my-own"))
    shutil.copy(
        BUILT_IN_PRESETS / "mini/loras/pen-ink-mini.safetensors", loras / "single.safetensors"
    )
    own = {
        "MODEL_BASE_PATH": str(folder / "models"),
        "OUTPUTS": str(folder / "out"),
        "STATE_DIR": str(folder / "state"),
    }
    with studio_at(folder, own) as address:
        yield address


def opened(page: Page, opener: str) -> None:
    page.locator(f"{opener} [data-browse]").first.click()
    page.get_by_role("dialog").locator("[data-pick]").first.wait_for()


def find(page: Page, words: str) -> None:
    page.get_by_role("dialog").get_by_label("Find").fill(words)


def test_a_run_among_the_cards_leads_to_trials(browser: Browser, url: str, tmp_path: Path) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.locator("#contract [data-state=ready]").wait_for(state="attached")
    dialog = page.get_by_role("dialog")

    opened(page, "#add-lora")
    find(page, "single")
    dialog.locator("[role=status]", has_text="1 matches").wait_for()
    assert dialog.locator("[data-try]").count() == 0
    find(page, "my-own")
    dialog.locator("[role=status]", has_text="4 match").wait_for()
    assert dialog.locator("[data-try]").count() == 4
    walk = Walk(page)
    walk.look("cards of a run")
    assert not walk.faults, "\n".join(walk.faults)
    dialog.get_by_role("button", name="Try this run").nth(2).click()
    dialog.wait_for(state="hidden")
    page.locator("#trial-files", has_text="4 checkpoints").wait_for()
    assert page.get_by_role("tab", name="Trials").get_attribute("aria-selected") == "true"
    assert page.locator("#begin-trial").is_visible()
    context.close()
