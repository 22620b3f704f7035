"""A picture to edit comes from a browser: through the gate, decoded apart, and its upload goes."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from studio.architecture import Mode
from studio.ui import launch, uploads
from tests.support.flow import reference, save_flow_base
from tests.support.ports import free_port
from tests.support.studios import TinyStudio
from tests.ui.conftest import PATIENCE


def test_a_reference_image_is_taken_in_and_its_upload_goes(
    browser: Browser, tmp_path: Path
) -> None:
    base = save_flow_base(tmp_path / "tiny", "FluxKontextPipeline")
    (tmp_path / "studio").mkdir()
    tiny = TinyStudio.open(tmp_path / "studio", "FluxKontextPipeline", base)
    picture, torn = tmp_path / "a.png", tmp_path / "torn.jpg"
    reference().save(picture)
    reference().save(torn)
    torn.write_bytes(torn.read_bytes()[:-400])
    demo = launch(tiny.workspace, prevent_thread_lock=True, quiet=True, server_port=free_port())
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(demo.local_url)
        page.locator("#contract [data-state=ready]").wait_for(state="attached")
        page.locator("#base input").click()
        page.get_by_role("option", name="Tiny").first.click()
        page.locator("#mode").get_by_text(Mode.REFERENCE_EDIT.label).click()
        with page.expect_file_chooser() as asked:
            page.get_by_role("button", name="Add a reference image").click()
        asked.value.set_files([picture, torn])
        expect(page.locator(".ls-reference-strip figure")).to_have_count(1, timeout=PATIENCE)
        expect(page.get_by_text("The reference image cannot be")).to_be_visible(timeout=PATIENCE)
        # Of all files: other tests of this process send theirs to the same folder.
        left = {path.name for path in uploads.folder().rglob("*")}
        assert left.isdisjoint({picture.name, torn.name})
    finally:
        demo.close()
        tiny.workspace.close()
