"""Locks on open files, which any end of a process frees."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from filelock import lock_descriptor

from studio.errors import LockHeld

try:
    import fcntl
except ImportError:  # Windows, where readers take turns as well
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("studio.storage.lock")

LOOK_AGAIN = 0.002
"""Seconds between two looks at a lock that another holds."""
SAID_AFTER = 1.0
"""Seconds until a wait is said in the log."""
WAIT_SECONDS = 10.0
"""Seconds until it is given up: every holder has it for a moment only, unless it was stopped."""


def lock(descriptor: int, path: Path) -> None:
    """Wait until nobody else has a lock on the file; closing the descriptor gives it back.

    Args:
        path: of the file, by which the wait is named.

    Raises:
        LockHeld: another holds it for WAIT_SECONDS.
    """
    _wait(lambda: try_lock(descriptor), path)


def try_lock(descriptor: int) -> bool:
    """``lock``, or False where another has one."""
    return lock_descriptor(descriptor, blocking=False)


def lock_shared(descriptor: int, path: Path) -> None:
    """Wait until nobody has the file alone; many may share it.

    Raises:
        LockHeld: as ``lock``.
    """
    _wait(lambda: _try_shared(descriptor), path)


def _try_shared(descriptor: int) -> bool:
    if fcntl is None:
        return try_lock(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(take: Callable[[], bool], path: Path) -> None:
    start, said = time.monotonic(), False
    while not take():
        waited = time.monotonic() - start
        if waited > WAIT_SECONDS:
            raise LockHeld(path, round(waited))
        if waited > SAID_AFTER and not said:
            said = True
            logger.warning("waiting for %s, which another process holds", path.name)
        time.sleep(LOOK_AGAIN)
