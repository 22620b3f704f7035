"""Real screenshots of every tab, light and dark, wide and narrow, into docs/screenshots.

    python docs/screenshots.py [--url http://127.0.0.1:7860/]

Without ``--url`` a studio is started with outputs of its own, and fills its gallery first.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "screenshots"
PATIENCE = 180_000
PROMPTS = (
    ("LoRA with trigger", "a castle on a pink background"),
    ("Base", "a strawberry on a green background"),
    ("LoRA without trigger", "a whale on a white background"),
    ("Base", "a penguin on a blue background"),
)


@contextmanager
def studio() -> Iterator[str]:
    """The address of a studio that runs while this lasts."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = os.environ | {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "OUTPUTS": f"{folder}/outputs",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], env=environment, cwd=folder
        )
        url = f"http://127.0.0.1:{port}/"
        try:
            wait(url)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def wait(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
    raise SystemExit(f"no studio answers at {url}")


@contextmanager
def page(browser: Browser, url: str, width: int, height: int, dark: bool) -> Iterator[Page]:
    """The studio in a fresh profile, its first plan drawn."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(f"{url}?__theme={scheme}")
    opened.locator("#contract [data-state=ready]").wait_for(state="attached")
    yield opened
    context.close()


def shoot(opened: Page, name: str) -> None:
    opened.evaluate("scrollTo(0, 0)")
    opened.wait_for_timeout(1200)
    opened.screenshot(path=FOLDER / f"{name}.png")


def make_pictures(opened: Page) -> None:
    """One picture a prompt, in its mode."""
    for mode, prompt in PROMPTS:
        opened.locator("#mode label", has_text=mode).get_by_text(mode, exact=True).click()
        opened.get_by_label("Prompt", exact=True).fill(prompt)
        sheet = opened.locator("#contract [data-state=ready]")
        sheet.get_by_text(prompt.split(",")[0]).first.wait_for()
        sheet.get_by_text(mode, exact=True).first.wait_for()
        opened.locator("#generate:enabled").click()
        opened.locator("#contract [data-state=proven]").wait_for()
        opened.locator("#generate:enabled", has_text="Generate").wait_for()


def first_picture(opened: Page) -> None:
    """That of the request and the seed with which the page opens."""
    opened.locator("#generate:enabled").click()
    opened.locator("#contract [data-state=proven]").wait_for()
    opened.locator("#generate:enabled", has_text="Generate").wait_for()


def tabs(opened: Page, suffix: str) -> None:
    opened.get_by_role("tab", name="Gallery").click()
    opened.locator(".ls-thumb img").first.wait_for()
    shoot(opened, f"gallery-{suffix}")
    opened.locator(".ls-thumb").first.click()
    opened.locator("#opened [data-state=proven]").wait_for()
    shoot(opened, f"picture-{suffix}")
    opened.get_by_role("tab", name="Models").click()
    opened.locator("#catalogue").get_by_text("Pen & Ink (mini)").click()
    opened.locator("#preset h3").first.wait_for()
    shoot(opened, f"models-{suffix}")


def compare(opened: Page, suffix: str, kind: str = "Four arms") -> None:
    opened.get_by_role("tab", name="Compare").click()
    opened.locator("#kind").get_by_text(kind).click()
    opened.locator("#compare:enabled").click()
    opened.locator("#seal [data-verdict=valid]").wait_for()
    opened.locator("#compare:enabled").wait_for()
    shoot(opened, f"compare-{suffix}")


def take(url: str) -> None:
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        with page(browser, url, 1440, 900, dark=False) as opened:
            make_pictures(opened)
        with page(browser, url, 1440, 900, dark=False) as opened:
            first_picture(opened)
            shoot(opened, "studio-light")
            tabs(opened, "light")
        with page(browser, url, 1440, 1200, dark=False) as opened:
            compare(opened, "light")
        with page(browser, url, 1440, 900, dark=True) as opened:
            first_picture(opened)
            shoot(opened, "studio-dark")
            tabs(opened, "dark")
            compare(opened, "dark", "Base against LoRA")
        with page(browser, url, 390, 844, dark=False) as opened:
            shoot(opened, "studio-phone")
            compare(opened, "phone", "Base against LoRA")
        with page(browser, url, 1600, 1000, dark=False) as opened:
            opened.get_by_role("button", name="Settings").click()
            opened.get_by_label("Width").fill("130")
            opened.locator("#contract [data-state=violations]").wait_for()
            shoot(opened, "violations-wide")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a studio that runs already")
    url = parser.parse_args().url
    if url:
        take(url)
        return
    with studio() as started:
        take(started)


if __name__ == "__main__":
    main()
