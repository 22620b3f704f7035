"""What the server holds for one browser page: a workspace session, the run it started, and the
pictures it has made."""

import threading
from dataclasses import dataclass, field

from studio.contract.plan import RunPlan
from studio.gallery import Picture
from studio.workspace.workspace import Workspace

STRIP = 60
"""Pictures that a page keeps in sight; older ones are in the gallery."""


@dataclass(slots=True)
class Strip:
    """The pictures a page has made, newest first, and the one on its stage.

    Attributes:
        running: the plan of the run that goes on.
        chosen: the reader picked ``looked`` meanwhile, so the run leaves the stage alone.
    """

    made: tuple[Picture, ...] = ()
    looked: Picture | None = None
    running: RunPlan | None = None
    chosen: bool = False

    def start(self, plan: RunPlan) -> None:
        self.running, self.chosen = plan, False

    def end(self) -> None:
        self.running, self.chosen = None, False

    def add(self, picture: Picture) -> None:
        """A picture was made; it goes on the stage unless the reader looks at another one."""
        self.made = (picture, *self.made)[:STRIP]
        if not self.chosen:
            self.looked = picture

    def look(self, name: str) -> Picture | None:
        """Put the picture of this name on the stage; None where the page made none."""
        found = next((each for each in self.made if each.name == name), None)
        if found is not None:
            self.looked, self.chosen = found, self.running is not None
        return found

    def forget(self, name: str) -> None:
        """It is gone from the gallery."""
        self.made = tuple(each for each in self.made if each.name != name)
        if self.looked is not None and self.looked.name == name:
            self.looked, self.chosen = None, False


@dataclass(slots=True)
class _Page:
    session: str
    cancel: threading.Event | None = field(default=None)
    comparing: bool = False
    strip: Strip = field(default_factory=Strip)


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

    def strip(self, page: str) -> Strip:
        """The page's pictures; empty where it was closed."""
        with self._lock:
            held = self._pages.get(page)
            return Strip() if held is None else held.strip

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
