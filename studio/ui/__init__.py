"""The page in the browser; knows the workspace and pure values, never the engine."""

from studio.ui import quick_gradio  # isort: skip  # before anything imports gradio
from studio.ui.page import build
from studio.ui.serving import launch, launch_options

__all__ = ["build", "launch", "launch_options", "quick_gradio"]
