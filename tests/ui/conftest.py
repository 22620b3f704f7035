"""A real server, a real browser, and every page's console read for errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = int(os.environ.get("STUDIO_BROWSER_PATIENCE", "180")) * 1000
"""Milliseconds until a page is given up; a busy machine is slow, not broken."""

HOSTILE = '<img src=x onerror="document.title=1;window.hacked=1">'
PRESETS = f"""\
loras:
  - slug: hostile
    label: '{HOSTILE}'
    base_architecture: mini
    theme: '<b>theme</b>'
    path: hostile/hostile.safetensors
    prompt: 'hostiletoken {HOSTILE}'
    trigger: required
    notes: '{HOSTILE}'
  - slug: too-strong
    label: Too strong
    base_architecture: mini
    path: x/x.safetensors
    trigger: none
    settings: {{strength: 3.5}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A studio that runs: its address, and where it keeps pictures."""

    url: str
    outputs: Path

    def pictures(self) -> list[Path]:
        """The pictures it has saved, oldest first."""
        found = self.outputs.glob("*/*.png")
        return sorted(
            (path for path in found if not path.parent.name.startswith(".")),
            key=lambda path: path.stat().st_mtime_ns,
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``python app.py`` as a child process, on a free port, with folders of its own."""
    folder = tmp_path_factory.mktemp("studio")
    presets, outputs = folder / "presets", folder / "outputs"
    presets.mkdir()
    (presets / "hostile.yaml").write_text(PRESETS, encoding="utf-8")
    own = {
        "OUTPUTS": str(outputs),
        "STATE_DIR": str(outputs / ".state"),
        "PRESETS": str(presets),
    }
    with studio_at(folder, {"SHARE": "0", **own}) as url:
        yield Server(url, outputs)


@contextmanager
def studio_at(
    folder: Path, environment: Mapping[str, str], program: Path = ROOT / "app.py"
) -> Iterator[str]:
    """The address of a studio that runs in ``folder`` while this lasts, its output in ``log``."""
    port = free_port()
    always = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEVICE": "cpu",
        "PYTHONPATH": str(ROOT),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "LOCAL_PRESETS": str(folder / "local.yaml"),
    }
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, **always, **environment},
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE / 1000)
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
    raise AssertionError(f"the studio did not answer at {url}: {log.read_text()}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; without it the tests are skipped by name, or fail where required."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        reason = "no Chromium: install it, or say where it is with CHROMIUM"
        if os.environ.get("STUDIO_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens the studio in a fresh profile; at the end no page may have logged an error."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(width: int = 1440, height: int = 900) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console", lambda message: errors.append(message.text) if _is_error(message) else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        page.locator("#contract [data-state=ready]").wait_for(state="attached", timeout=PATIENCE)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors, errors


def pick_lora(page: Page, words: str, opener: str = "#add-lora") -> None:
    """Open the LoRA browser, find by words, and take the first."""
    page.locator(f"{opener} [data-browse]").first.click()
    page.get_by_role("dialog").get_by_label("Find").fill(words)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="hidden")


LEFT = (
    "AbortError: signal is aborted",
    "AbortError: BodyStreamBuffer was aborted",
    "Unexpected error Connection errored out",
)
"""What gradio says of a page that is left while something streams to it."""


def _is_error(message: object) -> bool:
    text = getattr(message, "text", "")
    return getattr(message, "type", "") == "error" and not text.startswith(LEFT)
