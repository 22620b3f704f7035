"""A studio that everybody can open: turns between clients, a bounded queue, nobody's runs end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest
import requests

from studio.settings import Settings
from studio.ui import launch
from studio.workspace.line import STRANGERS
from studio.workspace.runs import Runs
from studio.workspace.workspace import Workspace
from tests.support.ports import free_port
from tests.ui.conftest import PATIENCE

REQUEST = {"base": "mini", "mode": "base", "prompt": "a rocket", "seed": 7}
LONG = {**REQUEST, "settings": {"steps": 200}, "count": 4}
WAIT = PATIENCE / 1000


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where calls of a public studio begin; it ends what nobody listens to sooner than usual."""
    monkeypatch.setattr("studio.workspace.line.STRANGERS", replace(STRANGERS, alone=10.0))
    places = (tmp_path / "models", tmp_path / "outputs", tmp_path / "state")
    workspace = Workspace.open(Settings(*places, port=0, device="cpu", public=True))
    demo = launch(workspace, prevent_thread_lock=True, quiet=True, server_port=free_port())
    try:
        yield f"http://127.0.0.1:{demo.server_port}/gradio_api/call"
    finally:
        demo.close()
        workspace.close()


def ask(calls: str, name: str, request: object) -> str:
    """Start a call, and open nothing of its answer."""
    asked = requests.post(f"{calls}/{name}", json={"data": [request]}, timeout=WAIT)
    return f"{calls}/{name}/{asked.json()['event_id']}"


def answer(address: str) -> dict[str, Any]:
    events = requests.get(address, timeout=WAIT).text
    last = [line for line in events.splitlines() if line.startswith("data: ")][-1]
    said: dict[str, Any] = json.loads(last.removeprefix("data: "))[0]
    return said


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Semaphore:
    """Released whenever a run has its place in a line; calls begin in any order, and late."""
    submit, counted = Runs.submit, Semaphore(0)

    def counting(*given: Any, **named: Any) -> str:
        run_id = submit(*given, **named)
        counted.release()
        return run_id

    monkeypatch.setattr(Runs, "submit", counting)
    return counted


def test_a_client_has_so_many_runs_and_a_plan_waits_for_none(calls: str, taken: Semaphore) -> None:
    asked = [ask(calls, "generate", LONG) for _ in range(STRANGERS.per_client)]
    for _ in asked:
        assert taken.acquire(timeout=WAIT)
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
