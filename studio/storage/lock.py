"""Locks on open files, which any end of a process frees."""

from filelock import lock_descriptor

try:
    import fcntl
except ImportError:  # Windows, where readers take turns as well
    fcntl = None  # type: ignore[assignment]

LOOK_AGAIN = 0.002
"""Seconds between two looks at a lock that another holds."""


def lock(descriptor: int) -> None:
    """Wait until nobody else has a lock on the file; closing the descriptor gives it back."""
    lock_descriptor(descriptor, poll_interval=LOOK_AGAIN)


def try_lock(descriptor: int) -> bool:
    """``lock``, or False where another has one."""
    return lock_descriptor(descriptor, blocking=False)


def lock_shared(descriptor: int) -> None:
    """Wait until nobody has the file alone; many may share it."""
    if fcntl is None:
        lock(descriptor)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
