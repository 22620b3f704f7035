"""A studio that everybody can open: turns between clients, a bounded queue, nobody's runs end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from studio.workspace.line import STRANGERS
from tests.ui.conftest import PATIENCE, studio_at

REQUEST = {"base": "mini", "mode": "base", "prompt": "a rocket", "seed": 7}
LONG = {**REQUEST, "settings": {"steps": 200}, "count": 4}
WAIT = PATIENCE / 1000


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("public")
    environment = {"SHARE": "0", "PUBLIC": "1", "OUTPUTS": str(folder / "outputs")}
    with studio_at(folder, environment) as url:
        yield f"{url}gradio_api/call"


def ask(calls: str, name: str, request: object) -> str:
    """Start a call, and open nothing of its answer."""
    asked = requests.post(f"{calls}/{name}", json={"data": [request]}, timeout=WAIT)
    return f"{calls}/{name}/{asked.json()['event_id']}"


def answer(address: str) -> dict[str, Any]:
    events = requests.get(address, timeout=WAIT).text
    last = [line for line in events.splitlines() if line.startswith("data: ")][-1]
    said: dict[str, Any] = json.loads(last.removeprefix("data: "))[0]
    return said


def test_a_client_has_so_many_runs_and_a_plan_waits_for_none(calls: str, tmp_path: Path) -> None:
    asked = [ask(calls, "generate", LONG) for _ in range(STRANGERS.per_client)]
    time.sleep(1.0)  # whoever asks last is refused, and calls begin in any order
    refused = answer(ask(calls, "generate", LONG))
    assert refused["error"]["code"] == "queue_full"
    start = time.monotonic()
    assert "fingerprint" in answer(ask(calls, "plan", REQUEST))
    assert time.monotonic() - start < 10
    # Nobody listens to the three: they end, and another run gets its turn.
    deadline = time.monotonic() + WAIT
    short = {**REQUEST, "settings": {"steps": 2}}
    while "error" in (made := answer(ask(calls, "generate", short))):
        assert made["error"]["code"] == "queue_full"
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert len(made["images"]) == 1
    ends = [answer(address) for address in asked]
    assert {each["error"]["code"] for each in ends} == {"cancelled"}
