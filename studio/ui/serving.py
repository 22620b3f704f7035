"""How the page is served: address, look, and which files a browser may fetch."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.imaging.references import MAX_FILE
from studio.ui import assets, theme
from studio.ui.page import build
from studio.workspace.workspace import Workspace

MAX_PAGES = 200
"""Pages whose components gradio remembers, at about 768 KiB each; beyond them the page that was
used longest ago starts over. Its own number is 10,000, and nothing is freed before that."""


def launch_options(workspace: Workspace) -> dict[str, Any]:
    """Arguments for ``Blocks.launch``. Pictures are served, the studio's own files are not."""
    settings = workspace.settings
    outputs = settings.outputs
    return {
        "server_name": settings.host,
        "server_port": settings.port or None,
        "share": settings.share,
        "theme": theme.theme(),
        "css_paths": list(assets.STYLES),
        "favicon_path": assets.FAVICON,
        "footer_links": [],
        "allowed_paths": [str(outputs)],
        "blocked_paths": [str(settings.state), *_index_files(outputs)],
        "show_error": True,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": MAX_FILE,
        "state_session_capacity": MAX_PAGES,
    }


def _index_files(outputs: Path) -> list[str]:
    """The gallery's index and what SQLite keeps beside it."""
    return [str(outputs / f"index.sqlite{suffix}") for suffix in ("", "-wal", "-shm")]


def launch(workspace: Workspace, **options: Any) -> gr.Blocks:
    """Build the page and serve it; ``options`` go to gradio's ``launch`` over our own."""
    demo = build(workspace)
    demo.launch(**{**launch_options(workspace), **options})
    return demo
