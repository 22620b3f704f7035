"""A run that is stuck in a library ends with its command, its client and its studio."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.ports import free_port

SOON = 6.0
"""Seconds until the end: two of them are the promise, the others are for a busy machine."""
PATIENCE = 180.0
STUCK = """
from studio.engine import Engine

def run(*arguments):
    print("STUCK", flush=True)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

Engine.run = run
Engine.warm_up = Engine.describe_device = lambda engine: "no device"
from studio.cli import main
main()
"""
"""The studio, with a run that never gives the device's thread back, holds the GIL and hears
nobody. It imports no torch, which would take most of the time."""
RUN = (
    *("generate", "--base", "tiny", "--mode", "base", "--seed", "7", "--steps", "2"),
    *("--prompt", "a rocket"),
)


@contextmanager
def stuck_studio(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", said: str) -> None:
    assert process.stdout is not None
    late = threading.Timer(PATIENCE, process.kill)
    late.start()
    seen = ""
    for line in process.stdout:
        seen += line
        if said in line:
            late.cancel()
            return
    pytest.fail(f"It ended before it said {said!r}:\n{seen}")


def seconds_to_the_end(
    process: "subprocess.Popen[str]", numbers: Sequence[signal.Signals]
) -> float:
    start = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    process.communicate(timeout=SOON)
    return time.monotonic() - start


@pytest.mark.usefixtures("tiny_studio")
@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGTERM, signal.SIGTERM], 143),
    ],
    ids=["ctrl-c", "ctrl-c twice", "sigterm", "sigterm twice"],
)
def test_a_stuck_run_ends_with_its_command(
    numbers: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    with stuck_studio(*RUN) as process:
        read_until(process, "STUCK")
        assert seconds_to_the_end(process, numbers) < SOON
        assert process.returncode == code
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.usefixtures("tiny_studio")
@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM]], ids=["ctrl-c", "sigterm"])
def test_a_studio_with_a_stuck_run_tells_its_client_and_ends(
    numbers: list[signal.Signals],
) -> None:
    port = free_port()
    request = {"base": "tiny", "mode": "base", "prompt": "a rocket", "seed": 7}
    with stuck_studio("ui", "--port", str(port)) as process:
        read_until(process, "Running on")
        calls = f"http://127.0.0.1:{port}/gradio_api/call"
        with answer_to(f"{calls}/generate", request) as running:
            read_until(process, "STUCK")
            assert b"progress" in running.readline() + running.readline()
        # The server answers others, although a thread is stuck.
        with answer_to(f"{calls}/plan", request) as planned:
            assert b"fingerprint" in planned.read()
        assert seconds_to_the_end(process, numbers) < SOON


def answer_to(address: str, request: object) -> HTTPResponse:
    """What gradio's two steps answer: a name for the call, and its events."""
    body = json.dumps({"data": [request]}).encode()
    asked = Request(address, body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=PATIENCE) as named:
        call = json.load(named)["event_id"]
    events: HTTPResponse = urlopen(f"{address}/{call}", timeout=PATIENCE)
    return events
