"""Any tool's picture, dropped on the page, becomes a filled form and a picture: two actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studio.architecture import Mode
from studio.comparison.axes import strengths
from studio.contract.request import GenerationRequest, LoraChoice
from studio.gallery.comparisons.files import sheet_of, write
from studio.imaging.png import pixels_sha256
from studio.library.files import hash_file, read_header
from studio.settings import BUILT_IN_PRESETS
from tests.gallery.test_contact_sheet import recorded
from tests.resolve.test_resolve import with_loras
from tests.support import foreign_pictures as made
from tests.support.records import flat
from tests.ui.conftest import PATIENCE, Server
from tests.ui.test_browser import contract, generate

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
INK = BUILT_IN_PRESETS / "mini" / "loras" / "pen-ink-mini.safetensors"
HASHES = hash_file(INK, read_header(INK).size)
OURS = (
    ("dreamy_v8", "mini"),
    ("Pen Ink_v2", "pen-ink-mini"),
    ("640", "128"),
    ("512", "128"),
    (made.LORA_HASH, str(HASHES.autov3)),
    (made.LORA_HASH[:10], HASHES.autov2),
    ("01" * 32, str(HASHES.data_sha256)),
)
KNOWN_BY = {"a1111": "AutoV3", "fooocus": "AutoV2", "swarmui": "SHA-256"}


def ours(texts: dict[str, str]) -> dict[str, str]:
    """The sample with names, hashes and a size that the embedded base and LoRA have."""
    for before, after in OURS:
        texts = {key: value.replace(before, after) for key, value in texts.items()}
    return texts


@pytest.mark.parametrize("tool", [name for name in sorted(made.TEXTS) if name != "civitai"])
def test_a_dropped_picture_fills_the_form(
    tool: str, open_page: Open, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.png"
    path.write_bytes(made.png(ours(dict(made.TEXTS[tool]))))
    page = open_page()
    contract(page, "ready")
    page.get_by_role("button", name="Start from a picture").click()
    page.locator("#recall input[type=file]").set_input_files(path)
    page.locator(".ls-recalled").wait_for(timeout=PATIENCE)
    page.locator("#contract", has_text="a fox on a hill").wait_for(timeout=PATIENCE)
    said = page.locator(".ls-recalled").inner_text()
    assert "as the file says" in said
    assert f"pen-ink-mini, known by its {KNOWN_BY.get(tool, 'name')}" in said
    assert page.get_by_label("Prompt", exact=True).input_value() == made.PROMPT
    page.set_viewport_size({"width": 1366, "height": 900})
    heights = "[...document.querySelectorAll('#contract .ls-cell')].map(cell => cell.offsetHeight)"
    assert max(page.evaluate(heights)) < 80, "no value is broken letter by letter"
    if tool == "a1111":
        before = len(server.pictures())
        generate(page)
        assert len(server.pictures()) == before + 1


def test_pasted_parameters_and_what_is_missing(open_page: Open) -> None:
    page = open_page()
    contract(page, "ready")
    page.get_by_role("button", name="Start from a picture").click()
    page.get_by_label("Or paste its parameters").fill(made.CIVITAI)
    page.get_by_role("button", name="Fill the form from this text").click()
    page.locator(".ls-recalled").wait_for(timeout=PATIENCE)
    assert "model version 456" in page.locator(".ls-recalled").inner_text()
    page.get_by_label("Or paste its parameters").fill(json.dumps({"a": 1}))
    page.get_by_role("button", name="Fill the form from this text").click()
    page.locator("#recall [role=alert]").wait_for(timeout=PATIENCE)


def test_a_contact_sheet_fills_studio_and_compare(open_page: Open, tmp_path: Path) -> None:
    request = GenerationRequest(
        base="mini",
        mode=Mode.LORA,
        prompt="a fox on a sledge",
        loras=(LoraChoice(slug="pen-ink-mini"),),
        seed=9,
        count=2,
    )
    wanted, image = strengths(request, (0.25, 0.5)), flat()
    record = recorded(strengths(with_loras("ink", count=2), (0.25, 0.5))).model_copy(
        update={"wanted": wanted, "sheet_pixels_sha256": pixels_sha256(image)}
    )
    sheet = sheet_of(write(tmp_path, record, image))
    page = open_page()
    contract(page, "ready")
    page.get_by_role("button", name="Start from a picture").click()
    page.locator("#recall input[type=file]").set_input_files(sheet)
    tried = page.get_by_label("Strengths to try").locator("visible=true")
    tried.wait_for(timeout=PATIENCE)
    assert tried.input_value() == "0.25, 0.5"
    assert page.locator("#seeds input").input_value() == "2"
    page.locator(".ls-asked-card", has_text="a fox on a sledge").wait_for(timeout=PATIENCE)
    page.locator("#compare:enabled").wait_for(timeout=PATIENCE)
    page.get_by_role("tab", name="Studio").click()
    assert "its record is whole" in page.locator(".ls-recalled").inner_text()
