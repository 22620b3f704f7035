"""``studio worker``: this machine runs the plans of a studio elsewhere."""

import os
import secrets
import threading
from pathlib import Path
from typing import Annotated

import typer

from studio.cli.console import command
from studio.contract.base import is_slug
from studio.settings import Settings
from studio.workspace.joining import join


def worker(
    address: Annotated[
        str, typer.Option("--join", metavar="HOST:PORT", help="The Ray cluster of the studio.")
    ],
    name: Annotated[
        str | None,
        typer.Option(help="What records and pages call this worker; drawn if not said."),
    ] = None,
) -> None:
    """Join a studio's cluster and run what it sends, until Ctrl-C.

    The studio has WORKERS set to the same address. DEVICE, MEMORY_BUDGET_GB, MODEL_BASE_PATH and
    WORKER_STORE of this machine count; see docs/scale.md.
    """
    with command(as_json=False) as console:
        settings = Settings.from_env(os.environ, Path.cwd())
        chosen = name or f"worker-{secrets.token_hex(2)}"
        if not is_slug(chosen):
            raise typer.BadParameter("Small letters, digits, - . and _ only.", param_hint="--name")
        join(settings, address, chosen, console.say, threading.Event())
