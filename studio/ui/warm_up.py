"""The device, got ready once however many pages open."""

import threading

from studio.workspace.workspace import Workspace


class WarmUp:
    """One warm-up of the workspace, and what the page says about it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin in the background; every call after the first does nothing.

        One that failed is not tried again: the next page would meet the same error.
        """
        with self._lock:
            if self._thread is None and self._workspace.device_label is None:
                self._thread = self._workspace.warm_up()

    def device(self) -> str:
        """The device in words, or why there are none yet."""
        with self._lock:
            thread = self._thread
        # Asked before the label, which the thread sets just before it ends.
        ended = thread is not None and not thread.is_alive()
        waiting = "device not ready, see the log" if ended else "getting the device ready"
        return self._workspace.device_label or waiting
