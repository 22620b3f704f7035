"""How the page is served: address, look, and which files a browser may fetch."""

import importlib.util
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from studio.errors import SettingsError
from studio.imaging.decoding import MAX_FILE
from studio.ui import assets, theme, uploads
from studio.ui.gallery.files import routes
from studio.ui.gate import Gate
from studio.ui.page import build
from studio.ui.studio import own_lora
from studio.ui.trials import tab as trials_tab
from studio.ui.uploads import Uploads
from studio.workspace.line import limits_of
from studio.workspace.workspace import Workspace

MAX_PAGES = 200
"""Pages whose components gradio remembers, at about 768 KiB each; beyond them the page that was
used longest ago starts over. Its own number is 10,000, and nothing is freed before that."""


THREADS = 40
"""For everything that is quick; each run that is listened to takes one more."""


def launch_options(workspace: Workspace) -> dict[str, Any]:
    """Arguments for ``Blocks.launch``. The pictures of the gallery and the previews of LoRAs are
    served, and nothing else that lies beside them."""
    settings = workspace.settings
    if settings.mcp and importlib.util.find_spec("mcp") is None:
        raise SettingsError(
            "MCP is 1, and the package mcp is not installed.",
            "Install it with pip install 'lora-studio[mcp]', or unset MCP.",
        )
    # Files of a static path are given as they lie there; others would be copied each time.
    previews = workspace.stock.previews
    gr.set_static_paths([settings.outputs, previews.folder])

    def serves(path: Path) -> bool:
        return previews.serves(path) or workspace.visitors.serves(path)

    gate = Middleware(
        Gate,
        settings=settings,
        serves=serves,
        uploads=Uploads(uploads.folder(), settings.visitors.upload),
    )
    given = [*routes(workspace), *trials_tab.routes(workspace)]
    given += [own_lora.route(workspace)] if settings.visitors_bring else []
    return {
        "app_kwargs": {"middleware": [gate], "routes": given},
        "server_name": settings.host,
        "server_port": settings.port or None,
        "share": settings.share,
        "theme": theme.theme(),
        "css_paths": list(assets.STYLES),
        "favicon_path": assets.FAVICON,
        "footer_links": [],
        "show_error": True,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "mcp_server": settings.mcp,
        "max_file_size": MAX_FILE,
        "state_session_capacity": MAX_PAGES,
        "max_threads": limits_of(settings).in_all + THREADS,
    }


def launch(workspace: Workspace, **options: Any) -> gr.Blocks:
    """Build the page and serve it; ``options`` go to gradio's ``launch`` over our own."""
    workspace.stock.catalogue.start()
    demo = build(workspace)
    demo.launch(**{**launch_options(workspace), **options})
    return demo
