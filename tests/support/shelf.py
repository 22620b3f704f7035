"""Galleries filled for tests, and processes that use one."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from studio.gallery import Gallery
from tests.support.records import START, flat, run_record

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240
"""Seconds a child process gets, for machines that are busy with something else."""


def fill(shelf: Gallery, count: int = 3, **plan: Any) -> list[Path]:
    """Save ``count`` pictures, each a minute after the one before; oldest first."""
    return [
        shelf.save(flat(), run_record(at=START + timedelta(minutes=n), seed=n, **plan))
        for n in range(count)
    ]


def everything(shelf: Gallery) -> list[Path]:
    return [each.path for each in shelf.query(limit=100_000)]


def pngs(outputs: Path) -> set[Path]:
    return set(outputs.rglob("*.png"))


def leftovers(outputs: Path) -> list[Path]:
    return list(outputs.rglob("*.part"))


def child(outputs: Path, program: str) -> subprocess.Popen[str]:
    """A Python process with a gallery ``shelf`` in ``outputs`` running ``program``."""
    head = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from studio.storage import atomic\n"
        "from studio.gallery import Gallery, index as picture_index\n"
        "from tests.support.records import *\n"
        f"shelf = Gallery(Path({str(outputs)!r}))\n"
        "def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
