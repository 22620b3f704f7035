"""What the server holds for one browser page: a workspace session, and the run it started."""

import threading
from dataclasses import dataclass, field

from studio.workspace.workspace import Workspace


@dataclass(slots=True)
class _Page:
    session: str
    cancel: threading.Event | None = field(default=None)
    comparing: bool = False


class Sessions:
    """Pages by gradio's session hash; each has a workspace session of its own.

    A page that comes back after its connection was lost gets a new session.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    def open(self, page: str) -> str:
        """The page's workspace session, opened on first use."""
        with self._lock:
            if page not in self._pages:
                self._pages[page] = _Page(self._workspace.open_session())
            return self._pages[page].session

    def start(self, page: str, comparing: bool = False) -> tuple[str, threading.Event] | None:
        """The session and a cancel event for a new run; None while one is going.

        Args:
            comparing: the run makes the cells of a comparison.
        """
        session = self.open(page)
        with self._lock:
            held = self._pages[page]
            if held.cancel is not None:
                return None
            held.cancel, held.comparing = threading.Event(), comparing
            return session, held.cancel

    def finish(self, page: str, cancel: threading.Event) -> None:
        """The run that was started with ``cancel`` is over. The page may have been closed and
        opened again meanwhile: a later run is not touched."""
        with self._lock:
            held = self._pages.get(page)
            if held is not None and held.cancel is cancel:
                held.cancel, held.comparing = None, False

    def is_running(self, page: str) -> bool:
        with self._lock:
            return page in self._pages and self._pages[page].cancel is not None

    def is_comparing(self, page: str) -> bool:
        """Whether the page's run makes the cells of a comparison."""
        with self._lock:
            return page in self._pages and self._pages[page].comparing

    def cancel(self, page: str) -> bool:
        """Ask the page's run to stop; whether there was one."""
        with self._lock:
            held = self._pages.get(page)
            if held is None or held.cancel is None:
                return False
            held.cancel.set()
            return True

    def close(self, page: str) -> None:
        """The page is gone: stop its run, release what it loaded."""
        with self._lock:
            held = self._pages.pop(page, None)
        if held is None:
            return
        if held.cancel is not None:
            held.cancel.set()
        self._workspace.close_session(held.session)
