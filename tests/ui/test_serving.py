"""What the page is served with."""

import subprocess
import sys
from pathlib import Path

import pytest

from studio.settings import Settings
from studio.ui import serving
from studio.workspace.workspace import Workspace
from tests.support.ports import free_port
from tests.ui.conftest import ROOT


def test_gradio_forgets_the_pages_that_were_used_longest_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_PAGES", 5)
    settings = Settings(
        tmp_path / "models", tmp_path / "outputs", tmp_path / "state", device="cpu"
    )
    workspace = Workspace.open(settings)
    demo = serving.launch(workspace, prevent_thread_lock=True, quiet=True, server_port=free_port())
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


def test_gradio_is_imported_without_writing_stubs() -> None:
    """It would parse its own source for each component: seconds of every start."""
    looked = (
        "import ast, inspect; read = ast.get_source_segment; seen = []\n"
        "ast.get_source_segment = lambda *given: seen.append(given) or read(*given)\n"
        "import studio.ui, gradio\n"
        "assert not seen; print(inspect.getfile(gradio.Button))"
    )
    ran = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).name == "button.py", "Python names its files again"
