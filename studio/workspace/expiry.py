"""What visitors of a public page leave behind goes in time."""

import logging
import threading
import time
from datetime import UTC, datetime

from studio.errors import StudioError
from studio.gallery.ageing import forget_before, forget_beyond
from studio.gallery.walk import walk
from studio.workspace.visitors import VisitorKind
from studio.workspace.workspace import Workspace

EVERY = 600.0
"""Seconds between two looks."""

logger = logging.getLogger("studio.workspace.expiry")


def sweep(workspace: Workspace, now: float) -> None:
    """Forget guests' pictures that are too old, and members' that are too many.

    Args:
        now: seconds since 1970.

    Raises:
        GalleryError: a gallery cannot be used.
    """
    visitors, limits = workspace.visitors, workspace.settings.visitors
    oldest = now - limits.guest_hours * 3600
    for folder in visitors.folders(VisitorKind.GUEST):
        written = [int(found.split()[1]) / 1e9 for _, found in walk(folder, ".png")]
        if max(written, default=folder.stat().st_mtime) < oldest:
            visitors.discard(folder)
        elif min(written, default=now) < oldest:
            forget_before(visitors.opened(folder), datetime.fromtimestamp(oldest, UTC))
    for folder in visitors.folders(VisitorKind.MEMBER):
        forget_beyond(visitors.opened(folder), limits.member_items)


def keep_sweeping(workspace: Workspace) -> None:
    """Look now and then, until the studio closes."""
    closed = threading.Event()
    workspace.before_close(closed.set)

    def look() -> None:
        while not closed.wait(EVERY):
            try:
                sweep(workspace, time.time())
            except (StudioError, OSError) as error:
                logger.warning("visitors' pictures could not be looked through: %s", error)

    threading.Thread(target=look, name="studio-expiry", daemon=True).start()
