"""The end of the process: it comes, whatever a thread is stuck in.

Python waits at its end for every thread, and a thread inside a library's long call hears nobody.
What is on the disk is whole at every moment, so such a thread may be left behind.
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

GRACE = 2.0
"""Seconds from the wish to end until the end."""
SIGNALLED = 128
"""Added to a signal's number: the exit code of what it ended."""


def exit_with(code: int) -> NoReturn:
    """End the process with ``code``, orderly where that takes no longer than GRACE."""
    end_within(GRACE, code)
    sys.exit(code)


def end_within(seconds: float, code: int) -> None:
    """However it goes on from here, the process ends with ``code`` in so many seconds."""
    timer = threading.Timer(seconds, _end_now, (code,))
    timer.daemon = True
    timer.start()


def end_on_signals() -> None:
    """SIGINT and SIGTERM end what the main thread does; a second one ends the process at once.

    SIGINT raises KeyboardInterrupt, as ever, and SIGTERM SystemExit with 143.
    """
    wished = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal wished
        code = SIGNALLED + number
        if wished:
            _end_now(code)
        wished = True
        end_within(GRACE, code)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _end_now(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it may be gone
            stream.flush()
    os._exit(code)
