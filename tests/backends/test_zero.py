"""Runs on a ZeroGPU Space: the real ``spaces`` package over a stand-in of its GPU service."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.zero_api import GpuService, gpu_service

ROOT = Path(__file__).resolve().parents[2]
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuService]:
    with gpu_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def seen(
    service: GpuService,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    work = tmp_path_factory.mktemp("work")
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.zero_process"]
        + [str(each) for each in (tiny_base, tiny_loras["text"], work, service.answers)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | service.environ,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_fork_makes_the_picture_that_the_parent_makes(seen: Seen) -> None:
    first = seen["first"]
    assert [each["is"] for each in first[:2]] == ["Loading", "Loading"]
    assert first[-1]["is"] == "Generated"
    assert first[-1]["pixels"] == seen["here"]["pixels"]
    assert seen["agree"] == []


def test_a_fork_is_used_again_while_its_gpu_is_free_and_keeps_what_it_loaded(
    seen: Seen, service: GpuService
) -> None:
    assert seen["first"][-1]["resident"] == [False]
    assert seen["reused"][-1]["resident"] == [True]
    assert seen["fresh"][-1]["resident"] == [False]
    assert [seen[name][-1]["pixels"] for name in ("reused", "fresh", "after")] == [
        seen["here"]["pixels"]
    ] * 3
    # One for r1 to r3; three where its GPU was taken, the last of which is killed; one after that.
    assert len({call["pid"] for call in service.calls("/allow")}) == 5


def test_each_fork_measures_the_base_itself(seen: Seen) -> None:
    """What the parent measured under an emulated GPU would be another device's."""
    assert seen["measured"] == 0
    loaded, now, fresh = seen["plain"][-1]["proof"]
    assert loaded == now
    assert fresh


def test_a_fork_that_finds_another_base_than_the_first_one_keeps_no_picture(seen: Seen) -> None:
    assert "Generated" not in {each["is"] for each in seen["changed"]}
    assert seen["changed"][-1]["code"] == "contract_broken"
    assert seen["unchanged"][-1]["proof"][0] == seen["plain"][-1]["proof"][0]


def test_it_asks_in_the_name_of_whoever_asked_and_for_as_long_as_it_said(
    seen: Seen, service: GpuService
) -> None:
    first, second, *_ = service.calls("/schedule")
    assert first["token"] == "whose-quota"
    assert "token" not in second
    (unknown, was_timed), (known, is_timed) = seen["asked"]
    assert (int(first["durationSeconds"]), was_timed) == (unknown, False)
    assert (int(second["durationSeconds"]), is_timed) == (known, True)
    assert 0 < known < unknown


def test_what_breaks_in_a_fork_is_a_value(seen: Seen) -> None:
    codes = {name: seen[name][-1].get("code") for name in ("memory", "bug", "killed", "refused")}
    assert codes == {
        "memory": "out_of_memory",
        "bug": "unexpected",
        "killed": "gpu_aborted",
        "refused": "gpu_quota",
    }
    assert seen["memory"][-1]["message"] == "No room."
    assert "ZeroDivisionError" in seen["bug"][-1]["message"]


def test_a_cancelled_run_stops_within_a_step_and_leaves_a_clean_fork(seen: Seen) -> None:
    made = [each["is"] for each in seen["cancelled"]]
    assert made[-1] == "Cancelled"
    assert made.count("Progress") < 40
    assert seen["after"][-1]["is"] == "Generated"
    assert seen["closed"]


def test_no_gpu_is_asked_for_what_cannot_run(seen: Seen, service: GpuService) -> None:
    assert seen["unplaced"][-1]["code"] == "engine"
    assert len(service.calls("/schedule")) == 12
    assert [call["fail"] for call in service.calls("/release")].count("true") == 1
