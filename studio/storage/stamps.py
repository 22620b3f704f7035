"""What changes when a file changes, cheaply told."""

from __future__ import annotations

import os

Stamp = tuple[int, int, int, str]
"""Size, mtime and ctime in nanoseconds, device and inode. The ctime, which no program can set,
catches a file that was written in place and given its old mtime back."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Inodes may exceed SQLite's integers, hence text."""
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        f"{status.st_dev}:{status.st_ino}",
    )
