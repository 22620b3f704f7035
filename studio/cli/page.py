"""``studio ui``: the page."""

import dataclasses
import logging
from contextlib import closing
from typing import Annotated

import typer

from studio.cli.console import command
from studio.cli.options import OutputDir, PresetDirs, workspace_settings
from studio.errors import StudioError
from studio.workspace.workspace import Workspace

Host = Annotated[str | None, typer.Option(help="Where to listen; HOST if not said.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="PORT if not said.")]
Share = Annotated[
    bool | None,
    typer.Option("--share/--no-share", help="A public Gradio link; SHARE if not said."),
]


def ui(
    host: Host = None,
    port: Port = None,
    share: Share = None,
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
) -> None:
    """Open the studio in the browser."""
    with command(as_json=False):
        logging.getLogger("studio").setLevel(logging.INFO)
        settings = workspace_settings(presets, output_dir)
        settings = dataclasses.replace(
            settings,
            host=settings.host if host is None else host,
            port=settings.port if port is None else port,
            share=settings.share if share is None else share,
        )
        from studio.ui import launch  # gradio takes seconds that no other command should pay

        with closing(Workspace.open(settings)) as workspace:
            try:
                launch(workspace)
            except OSError as error:
                raise StudioError(
                    f"The page cannot listen on {settings.host}:{settings.port}: {error}",
                    "Choose another port or host with PORT and HOST, or with --port and --host.",
                ) from error
