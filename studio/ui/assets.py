"""The page's style sheets, scripts and mark: files, read once."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from studio.trials.report import page as report

STATIC = Path(__file__).with_name("static")
_SHEETS = ("style", "fields", "sheet", "library", "compare", "models", "browser", "trials")
STYLES = (*(STATIC / f"{name}.css" for name in _SHEETS), report.FOLDER / report.REPORT_CSS)
FAVICON = STATIC / "favicon.svg"


def script(name: str, **constants: int) -> str:
    """The JavaScript of ``static/name.js``, for ``gr.HTML(js_on_load=…)``.

    Args:
        constants: what the script calls by these names.
    """
    given = "".join(f"const {key} = {json.dumps(value)};\n" for key, value in constants.items())
    return given + (STATIC / f"{name}.js").read_text(encoding="utf-8")


PICK = script("pick")
"""A click on ``data-pick`` inside the component is its ``pick`` event."""

TELLING: dict[str, Any] = {"trigger_mode": "multiple"}
"""For each event that says what was clicked. By gradio's other modes a second click is dropped
while the first is being answered (``once``), or the first is told again (``always_last``)."""


def picked(event: gr.EventData) -> str:
    """The key of what was clicked; a page can send anything, so it is only a text."""
    data: Any = event._data
    key = data.get("key") if isinstance(data, dict) else None
    return key if isinstance(key, str) else ""


BROWSE = f"{PICK}\n{script('browse')}"
"""The same, and a ``data-browse`` opens the LoRA browser first."""
LORA_ROW = f"{BROWSE}\n{script('finer')}"
ADDRESS = script("address")


def chosen(event: gr.EventData) -> tuple[str, ...]:
    """The names of what was ticked."""
    data: Any = event._data
    names = data.get("names") if isinstance(data, dict) else None
    return (
        tuple(each for each in names if isinstance(each, str)) if isinstance(names, list) else ()
    )


SELECT = script("select")
"""Boxes of ``data-select`` inside the component, and its ``decide`` event on the chosen ones."""
LARGE = script("large")
KEYS = script("keys")
ENDING = script("ending")
KEEP_OPEN = script("keep_open")
ZOOM = script("zoom")
TIE = script("tie")
RANGE = script("range")
