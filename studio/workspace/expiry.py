"""What visitors of a public page leave behind goes in time."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from studio.errors import StudioError
from studio.gallery.ageing import forget_before, forget_beyond
from studio.gallery.walk import walk
from studio.workspace.visitors import Visitor, VisitorKind
from studio.workspace.workspace import Workspace

EVERY = 600.0
"""Seconds between two looks at the galleries."""
SOON = 15.0
"""Seconds between two looks at what visitors brought."""

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
            workspace.discard_visitor(folder)
        elif min(written, default=now) < oldest:
            forget_before(visitors.opened(folder), datetime.fromtimestamp(oldest, UTC))
    for folder in visitors.folders(VisitorKind.MEMBER):
        forget_beyond(visitors.opened(folder), limits.member_items)


def keep_sweeping(
    workspace: Workspace, here: Callable[[], Collection[Visitor]], alone: float | None
) -> None:
    """Look now and then, until the studio closes; what was left by an earlier one goes first.

    Args:
        here: who has the page open; ``alone``: as ``OwnLoras.let_go`` takes it.

    Raises:
        GalleryError: the disk does not allow it.
    """
    closed = threading.Event()
    workspace.before_close(closed.set)
    workspace.own_loras.drop_leftovers()

    def look() -> None:
        swept = time.monotonic()
        while not closed.wait(SOON):
            try:
                workspace.own_loras.let_go(here(), alone)
                if time.monotonic() - swept > EVERY:
                    swept = time.monotonic()
                    sweep(workspace, time.time())
            except (StudioError, OSError) as error:
                logger.warning("visitors' pictures could not be looked through: %s", error)

    threading.Thread(target=look, name="studio-expiry", daemon=True).start()
