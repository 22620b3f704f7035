"""How far one click on Generate travels through the code: python -m benchmarks.click_hops

The page is served in this process, a headless Chromium opens it, sets Mini with *Pen & Ink* to
two steps and clicks twice: with nothing in memory, and with everything. Counted are the files
and functions of ``studio`` that run, their calls, and the calls that cross from one file into
another; what the page does after the run, to plan the next one, is counted by itself.
"""

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from playwright.sync_api import Page, sync_playwright

import studio
from studio.settings import Settings
from studio.ui import build, launch_options
from studio.workspace.workspace import Workspace

ROOT = Path(studio.__file__).parent
PATIENCE = 180_000
"""Milliseconds until a page is given up."""
CLICK, AFTER, FORM = "the click", "after it", "the form"


@dataclass(slots=True)
class Trail:
    """What one kind of event ran: (file, function) → calls, and hops between files."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    hops: Counter[tuple[str, str]] = field(default_factory=Counter)

    def figures(self) -> dict[str, int]:
        return {
            "files": len({file for file, _ in self.calls}),
            "functions": len(self.calls),
            "calls": self.calls.total(),
            "hops": self.hops.total(),
        }


class Tracer:
    """Counts calls in every thread that begins after it was installed, while it is on."""

    def __init__(self) -> None:
        self.found: dict[str, Trail] = defaultdict(Trail)
        self.on = False
        self._stacks = threading.local()
        self._known: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        file = self._file(frame.f_code.co_filename)
        if file is None or frame.f_code.co_name.startswith("<"):
            return
        stack: list[tuple[str, str]] = self._stacks.__dict__.setdefault("stack", [])
        if event == "return":
            if stack:
                stack.pop()
            return
        here = (file, frame.f_code.co_qualname)
        if self.on:
            kind = self.found[_kind((stack or [here])[0][1])]
            kind.calls[here] += 1
            if stack and stack[-1][0] != file:
                kind.hops[stack[-1][0], file] += 1
        stack.append(here)

    def _file(self, name: str) -> str | None:
        if name not in self._known:
            inside = name.startswith(f"{ROOT}/")
            self._known[name] = name.removeprefix(f"{ROOT}/") if inside else None
        return self._known[name]


def _kind(first: str) -> str:
    """By the function that gradio or a thread called first."""
    name = first.rpartition(".")[2]
    if name in ("after", "look", "opened"):
        return AFTER if name == "after" else FORM
    return FORM if name == "refresh" else CLICK


def clicked(page: Page, tracer: Tracer) -> dict[str, dict[str, int]]:
    """One click, and what came of it until the page was at rest."""
    button = page.locator("#generate:enabled")
    button.wait_for(timeout=PATIENCE)
    time.sleep(1)
    tracer.found.clear()
    tracer.on = True
    button.click()
    page.locator("#contract [data-state=proven]").wait_for(timeout=PATIENCE)
    page.locator("#generate:enabled").wait_for(timeout=PATIENCE)
    time.sleep(1)
    tracer.on = False
    return {kind: trail.figures() for kind, trail in tracer.found.items()}


def measure(chromium: str, folder: Path, show: bool) -> dict[str, dict[str, dict[str, int]]]:
    tracer = Tracer()
    threading.setprofile(tracer)
    environment = {"OUTPUTS": str(folder), "STATE_DIR": str(folder / "state"), "DEVICE": "cpu"}
    settings = Settings.from_env(environment, folder)
    workspace = Workspace.open(settings)
    demo = build(workspace)
    options = launch_options(workspace) | {"server_port": None, "quiet": True}
    _, address, _ = demo.launch(prevent_thread_lock=True, **options)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.locator("#contract [data-state=ready]").wait_for(timeout=PATIENCE)
        page.get_by_role("button", name="Settings").click()
        steps = page.get_by_label("Steps")
        steps.fill("2")
        steps.blur()
        while workspace.device_label is None:
            time.sleep(0.5)
        time.sleep(3)
        found = {"cold": clicked(page, tracer)}
        if show:
            for hop, number in tracer.found[CLICK].hops.most_common(40):
                print(f"{number:6}  {' → '.join(hop)}")
        found["warm"] = clicked(page, tracer)
        browser.close()
    demo.close()
    workspace.close()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--hops", action="store_true", help="print the commonest hops too")
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("No chromium is installed.")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chromium, Path(folder), options.hops)
    if options.json:
        print(json.dumps(found))
        return
    for heat, kinds in found.items():
        for kind, figures in kinds.items():
            line = ", ".join(f"{number:,} {name}" for name, number in figures.items())
            print(f"{heat}, {kind}: {line}")


if __name__ == "__main__":
    main()
