"""The studio's page, as ``python app.py`` and as a Hugging Face Space's entry.

``demo`` is the page; settings come from the environment and ``.env``.
"""

import logging
import os

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  # before anything that may look for a GPU

from pathlib import Path

from studio.cli.ending import end_on_signals
from studio.settings import Settings
from studio.ui import build, launch_options
from studio.workspace.workspace import Workspace

logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
logging.getLogger("studio").setLevel(logging.INFO)

workspace = Workspace.open(Settings.from_env(os.environ, Path.cwd()))
workspace.planning.place_bases()
demo = build(workspace)

if __name__ == "__main__":
    end_on_signals()
    workspace.stock.catalogue.start()
    try:
        demo.launch(**launch_options(workspace))
    finally:
        workspace.close()
