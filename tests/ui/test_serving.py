"""What the page is served with."""

from pathlib import Path

import pytest

from studio.settings import Settings
from studio.ui import serving
from studio.workspace.workspace import Workspace


def test_gradio_forgets_the_pages_that_were_used_longest_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_PAGES", 5)
    settings = Settings(
        tmp_path / "models", tmp_path / "outputs", tmp_path / "state", device="cpu"
    )
    workspace = Workspace.open(settings)
    demo = serving.launch(workspace, prevent_thread_lock=True, quiet=True)
    try:
        held = demo.state_holder
        assert held.capacity == 5
        for number in range(8):
            assert held[f"page-{number}"] is not None
        assert len(held.session_data) == 5
        assert "page-0" not in held.session_data
    finally:
        demo.close()
        workspace.close()
