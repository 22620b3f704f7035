"""The Models tab's handlers, where a download or a look-up ends while they answer."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.settings import Settings
from studio.ui.models.events import ModelsEvents
from studio.ui.models.layout import ModelsInput
from studio.workspace.workspace import Workspace
from tests.support.sites import Site, serving
from tests.ui.test_api import wait_until

PRESETS = """
loras:
  - {slug: slow, label: Slow, base_architecture: sd15, air: "urn:air:sd1:lora:civitai:3000@11"}
"""
ASKED = ModelsInput("", "", "", "", 0, "table", "slow", "", "", ("", ""), {})


class Parts:
    """A name for each component instead of the component."""

    def __getattr__(self, name: str) -> Any:
        return name


@pytest.fixture
def site(tiny_loras: dict[str, Path]) -> Iterator[Site]:
    with serving() as served:
        data = tiny_loras["plain"].read_bytes()
        served.publish(11, data, model=3000, name="slow.safetensors")
        yield served


@pytest.fixture
def workspace(site: Site, tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "some.yaml").write_text(PRESETS)
    environment = {
        "MODEL_BASE_PATH": str(tmp_path / "models"),
        "PRESETS": str(tmp_path / "presets"),
        "LOCAL_PRESETS": str(tmp_path / "local.yaml"),
        "CIVITAI_BASE_URL": site.url,
        "DOWNLOAD_HOSTS": site.storage_url,
    }
    with closing(Workspace.open(Settings.from_env(environment, tmp_path))) as opened:
        yield opened


def events_of(workspace: Workspace) -> ModelsEvents:
    shelf: Any = SimpleNamespace(loras=(), facts=lambda *_: None)
    browser: Any = SimpleNamespace(shelf=lambda: shelf)
    parts: Any = Parts()
    inspector: Any = SimpleNamespace()
    return ModelsEvents(workspace, browser, inspector, parts, None, True)


def is_on(timer: Any) -> bool:
    return timer["active"] if isinstance(timer, Mapping) else bool(timer.active)


def test_a_download_that_ends_while_it_is_told_is_told_again(
    workspace: Workspace, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = site.files["slow.safetensors"]
    stored.pace, stored.block = 0.5, len(stored.data) // 100
    workspace.transfers.start("slow")
    present = workspace.present

    def ending() -> Mapping[str, bool]:
        stored.pace = 0
        wait_until(lambda: not workspace.transfers.are_going())
        return present()

    monkeypatch.setattr(workspace, "present", ending)
    monkeypatch.setattr(ModelsEvents, "_show", lambda *_: {})
    answer = events_of(workspace).tick(ASKED)
    assert is_on(answer["timer"])
    assert "Fetched" not in answer["transfer"]


def test_a_look_up_that_ends_while_it_is_told_is_told_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = workspace.stock.known

    def before_its_end(slug: str) -> Any:
        found = known(slug)
        if threading.current_thread() is threading.main_thread():
            wait_until(lambda: not workspace.stock.is_asking([slug]))
        return found

    monkeypatch.setattr(ModelsEvents, "_show", lambda *_: {})
    events = events_of(workspace)
    monkeypatch.setattr(workspace.stock, "known", before_its_end)
    answer = events.tick(ASKED)
    assert is_on(answer["timer"]) or "version 11" in answer["transfer"]
