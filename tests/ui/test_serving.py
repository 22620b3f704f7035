"""What the page is served with."""

from pathlib import Path

from studio.settings import Settings
from studio.ui.serving import MAX_PAGES, launch
from studio.workspace.workspace import Workspace


def test_gradio_forgets_the_pages_that_were_used_longest_ago(tmp_path: Path) -> None:
    settings = Settings(
        tmp_path / "models", tmp_path / "outputs", tmp_path / "state", device="cpu"
    )
    workspace = Workspace.open(settings)
    demo = launch(workspace, prevent_thread_lock=True, quiet=True)
    try:
        held = demo.state_holder
        assert held.capacity == MAX_PAGES
        for number in range(MAX_PAGES + 20):
            assert held[f"page-{number}"] is not None
        assert len(held.session_data) == MAX_PAGES
        assert "page-0" not in held.session_data
    finally:
        demo.close()
        workspace.close()
