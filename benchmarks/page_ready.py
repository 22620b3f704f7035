"""From process start to a page one can use: python -m benchmarks.page_ready

Starts ``studio ui`` on a free port as a process of its own, with a headless Chromium
already open, and waits until Generate can be pressed.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, expect, sync_playwright

PATIENCE = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answering(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        if process.poll() is not None:
            raise SystemExit(f"The studio ended early with {process.returncode}.")
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError):
            time.sleep(0.02)
    raise SystemExit(f"The studio did not answer within {PATIENCE:.0f} s.")


def one_start(browser: Browser) -> tuple[float, float]:
    """Seconds to the first answer, and to an enabled Generate button."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "OUTPUTS": folder}
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "studio", "ui"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until_answering(address, process)
            answered = time.perf_counter() - begin
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            button = page.get_by_role("button", name="Generate", exact=True)
            expect(button).to_be_enabled(timeout=PATIENCE * 1000)
            ready = time.perf_counter() - begin
            page.close()
        finally:
            process.terminate()
            process.wait(timeout=30)
    return answered, ready


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("No chromium is installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        times = [one_start(browser) for _ in range(options.starts)]
        browser.close()
    for name, values in zip(
        ("first answer", "Generate enabled"), zip(*times, strict=True), strict=True
    ):
        print(
            f"{name}: median {statistics.median(values):.1f} s, slowest {max(values):.1f} s "
            f"of {len(values)} starts"
        )


if __name__ == "__main__":
    main()
