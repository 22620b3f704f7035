"""Clicks inside our own markup, told to the server as the ``pick`` event."""

from typing import Any

import gradio as gr

PICK = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-pick]');
  if (row && element.contains(row)) trigger('pick', {key: row.dataset.pick});
});
"""
"""For ``gr.HTML(js_on_load=PICK)``; the markup's ``data-pick`` is the event's key."""


def picked(event: gr.EventData) -> str:
    """The key of what was clicked; a page can send anything, so it is only a text."""
    data: Any = event._data
    key = data.get("key") if isinstance(data, dict) else None
    return key if isinstance(key, str) else ""
