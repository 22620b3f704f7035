"""Downloads that break, are cancelled, killed or asked for twice: whole or absent, never half."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.library.downloads import (
    Checking,
    DownloadEvent,
    Downloads,
    Fetched,
    Fetching,
    Stopped,
    Waiting,
    errors,
)
from studio.settings import Settings
from tests.library.downloads.conftest import Fetch, left_in, lora_bytes, planned
from tests.support.sites import KEY, Site, Stored

DATA = lora_bytes(400_000)
ROOT = Path(__file__).resolve().parents[3]
PLACE = "loras/ink.safetensors"
SOON = 6.0
"""Seconds until a cancel is heard: two are the promise, the others are for a busy machine."""


@pytest.fixture(autouse=True)
def _published(site: Site) -> None:
    site.publish(7, DATA)


def only(site: Site) -> Stored:
    return site.files["ink.safetensors"]


def starts(site: Site) -> list[int]:
    """Where each answer of the storage was asked to begin."""
    return [int(each[6:-1]) if each else 0 for each in ranges(site)]


def ranges(site: Site) -> list[str | None]:
    return [seen.headers.get("range") for seen in site.asked("storage")]


def whole(settings: Settings) -> bool:
    place = settings.model_base_path / PLACE
    return place.exists() and place.read_bytes() == DATA


def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    fetch: Fetch, site: Site, settings: Settings
) -> None:
    only(site).breaks = [100_000, 100_000]
    fetch()
    assert whole(settings)
    first, *rest = ranges(site)
    assert first is None
    assert rest
    assert all(each is not None for each in rest)
    assert left_in(settings.model_base_path) == ["loras/ink.json", PLACE]


def test_one_that_always_breaks_ends_in_a_sentence_and_keeps_its_part(
    fetch: Fetch, site: Site, settings: Settings
) -> None:
    only(site).breaks = [50_000] + [0] * 10
    with pytest.raises(errors.StorageFault, match="broke the connection"):
        fetch()
    assert not whole(settings)
    only(site).breaks = []
    events = fetch()
    assert isinstance(events[0], Checking)
    assert whole(settings)
    assert 0 < starts(site)[-1] <= 50_000


@pytest.mark.parametrize("length", [True, False])
def test_a_stream_that_ends_early_is_not_taken_for_whole(
    fetch: Fetch, site: Site, settings: Settings, length: bool
) -> None:
    only(site).truncates = [100_000]
    only(site).length = length
    fetch()
    assert whole(settings)
    first, second = starts(site)
    assert first == 0
    assert 0 < second <= 100_000


def cancelled(downloads: Downloads, site: Site) -> list[DownloadEvent]:
    """Cancel once a fair part has come."""
    only(site).pace, only(site).block = 0.05, 20_000
    cancel = threading.Event()
    events = []
    for event in downloads.fetch(planned(downloads), cancel):
        events.append(event)
        if isinstance(event, Fetching) and event.done > 40_000:
            cancel.set()
    only(site).pace = 0
    return events


def test_cancel_keeps_the_part_for_the_next_time(
    downloads: Downloads, site: Site, settings: Settings, fetch: Fetch
) -> None:
    last = cancelled(downloads, site)[-1]
    assert isinstance(last, Stopped)
    assert last.kept > 40_000
    assert not whole(settings)
    fetch()
    assert whole(settings)
    assert ranges(site)[-1] == f"bytes={last.kept}-"
    assert site.asked("storage")[-1].headers["if-range"] == '"v1"'


def seconds_until_stopped(events: Iterator[DownloadEvent], cancel: threading.Event) -> float:
    """From a cancel that comes in the silence until the download says that it stopped."""
    seen: list[DownloadEvent] = []
    reader = threading.Thread(target=lambda: seen.extend(events))
    reader.start()
    time.sleep(0.5)
    assert reader.is_alive()
    start = time.monotonic()
    cancel.set()
    reader.join(60.0)
    assert isinstance(seen[-1], Stopped)
    return time.monotonic() - start


@pytest.mark.parametrize("silent_after", [None, 0, 100_000], ids=["no answer", "head", "body"])
def test_a_silent_connection_ends_with_its_cancel(
    downloads: Downloads,
    site: Site,
    settings: Settings,
    fetch: Fetch,
    silent_after: int | None,
) -> None:
    plan, cancel = planned(downloads), threading.Event()
    only(site).silent_after = silent_after
    site.is_mute = silent_after is None
    assert seconds_until_stopped(downloads.fetch(plan, cancel), cancel) < SOON
    site.is_mute, only(site).silent_after = False, None
    fetch()
    assert whole(settings)


@pytest.mark.parametrize("behaviour", ["ignored", "shifted", "refused"])
def test_a_range_that_is_answered_wrongly_starts_anew(
    downloads: Downloads, site: Site, settings: Settings, fetch: Fetch, behaviour: str
) -> None:
    cancelled(downloads, site)
    only(site).ranges = behaviour
    fetch()
    assert whole(settings)


def test_a_file_that_was_replaced_meanwhile_starts_anew(
    downloads: Downloads, site: Site, settings: Settings, fetch: Fetch
) -> None:
    cancelled(downloads, site)
    only(site).etag = '"v2"'
    fetch()
    assert whole(settings)


def test_a_part_of_another_version_is_not_gone_on_with(
    downloads: Downloads, site: Site, settings: Settings, fetch: Fetch
) -> None:
    cancelled(downloads, site)
    other = lora_bytes(300_000, width=1024)
    site.publish(8, other)
    fetch(8)
    assert (settings.model_base_path / PLACE).read_bytes() == other
    assert ranges(site)[-1] is None


def test_a_part_whose_bytes_changed_is_found_out(
    downloads: Downloads, site: Site, settings: Settings, fetch: Fetch
) -> None:
    cancelled(downloads, site)
    part = settings.model_base_path / "loras/.ink.safetensors.lora-studio.part"
    part.write_bytes(b"\0" * part.stat().st_size)
    with pytest.raises(errors.HashWrong):
        fetch()
    assert left_in(settings.model_base_path) == []
    fetch()
    assert whole(settings)


def test_a_fault_of_the_storage_gets_a_new_address(
    fetch: Fetch, site: Site, settings: Settings
) -> None:
    only(site).statuses = [500, 403, 404]
    fetch()
    assert whole(settings)
    assert len(site.asked("api", "/download/")) == 4


# ---- processes

PROGRAM = """
import sys, threading
from pathlib import Path
from studio.library.downloads import Fetched, Waiting
from studio.settings import Settings
from tests.library.downloads.conftest import made, planned
url, storage, root, key = sys.argv[1:]
settings = Settings(Path(root), Path(root), Path(root), civitai_api_key=key, civitai_url=url,
                    download_hosts=(storage,))
own = made(settings)
plan = planned(own)
for event in own.fetch(plan, threading.Event()):
    print(type(event).__name__, getattr(event, "already", ""), flush=True)
"""


def child(site: Site, settings: Settings) -> subprocess.Popen[str]:
    arguments = [site.url, site.storage_url, str(settings.model_base_path), KEY]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_in_the_middle_then_again(site: Site, settings: Settings, fetch: Fetch) -> None:
    only(site).pace, only(site).block = 0.05, 20_000
    process = child(site, settings)
    assert process.stdout is not None
    part = settings.model_base_path / "loras/.ink.safetensors.lora-studio.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 60_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    assert not (settings.model_base_path / PLACE).exists()
    assert 0 < part.stat().st_size < len(DATA)
    only(site).pace = 0
    assert isinstance(fetch()[-1], Fetched)
    assert whole(settings)
    assert ranges(site)[-1] is not None, "the second attempt goes on where the first was killed"


def test_two_processes_at_once_are_one_download(site: Site, settings: Settings) -> None:
    only(site).pace, only(site).block = 0.05, 20_000
    processes = [child(site, settings) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert whole(settings)
    assert len(site.asked("storage")) == 1
    assert sorted("True" in words for words in said) == [False, True]
    assert left_in(settings.model_base_path) == ["loras/ink.json", PLACE]


def test_whoever_waits_can_stop_waiting(
    site: Site, settings: Settings, downloads: Downloads
) -> None:
    only(site).pace, only(site).block = 0.02, 20_000
    first = downloads.fetch(planned(downloads), threading.Event())
    next(first)
    cancel = threading.Event()
    second = downloads.fetch(planned(downloads), cancel)
    assert isinstance(next(second), Waiting)
    cancel.set()
    assert list(second) == [Stopped(0)]
    assert isinstance(list(first)[-1], Fetched)
    assert hashlib.sha256((settings.model_base_path / PLACE).read_bytes()).hexdigest()


def test_an_abandoned_download_gives_its_lock_back(
    site: Site, settings: Settings, downloads: Downloads, fetch: Fetch
) -> None:
    only(site).pace, only(site).block = 0.01, 20_000
    events = downloads.fetch(planned(downloads), threading.Event())
    next(events)
    events.close()  # type: ignore[attr-defined]
    fetch()
    assert whole(settings)
