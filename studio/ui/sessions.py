"""What the server holds for open pages: whose they are, what they fetch, and what they have made.

The runs are the owner's and not the page's: an owner is a key that a browser keeps, so that a
reload, another tab or a later day finds them.
"""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from studio.comparison.axes import ComparisonPlan
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.gallery import Picture
from studio.workspace.line import AnyEvent, Plan, Standing
from studio.workspace.runs import Runs
from studio.workspace.visitors import Visitor, VisitorKind

STRIP = 60
"""Pictures that a page keeps in sight; older ones are in the gallery."""
KEY_BYTES = 24
SHORTEST_KEY = 32
"""Characters of such a key, in base64."""
LONGEST_KEY = 200

MOST_PAGES = 1000
"""Open pages; the one that was opened longest ago starts over."""
PAGES_EACH = 100
"""Of one client; so nobody makes the others' start over."""
STRANGE = "pages that were never loaded"
"""They are counted together: whoever sends events by hand can be as many as they like."""

P = TypeVar("P", RunPlan, ComparisonPlan)


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
        others = (each for each in self.made if each.name != picture.name)
        self.made = (picture, *others)[:STRIP]
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


Unfit = tuple[str | None, str, str]
"""Base, mode and scheduler of a form that asks for what the base has not."""


@dataclass(slots=True)
class _Page:
    visitor: Visitor
    client: str
    fetching: threading.Event | None = None
    watching: bool = False
    strip: Strip = field(default_factory=Strip)
    unfit: Unfit | None = None

    @property
    def owner(self) -> str:
        """Whose line it is; a browser's key can be no account."""
        return f"{self.visitor.kind} {self.visitor.known_by}"


class Sessions:
    """Pages by gradio's session hash, over the runs of their owners."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    def open(
        self, page: str, key: str | None, client: str = "", account: str | None = None
    ) -> str:
        """The page was loaded in a browser that keeps ``key``; returns the key to be kept.

        Args:
            client: who is counted; see ``Runs.submit``.
            account: who is signed in, for certain.
        """
        if not isinstance(key, str) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
            key = secrets.token_urlsafe(KEY_BYTES)
        if account is None:
            visitor = Visitor(VisitorKind.GUEST, f"key {key}")
        else:
            visitor = Visitor(VisitorKind.MEMBER, account)
        self._keep(page, _Page(visitor, client))
        return key

    def _keep(self, page: str, held: _Page) -> None:
        with self._lock:
            self._pages.pop(page, None)
            self._pages[page] = held
            own = [name for name, each in self._pages.items() if each.client == held.client]
            for name in own[:-PAGES_EACH]:
                _gone(self._pages.pop(name))
            while len(self._pages) > MOST_PAGES:
                _gone(self._pages.pop(next(iter(self._pages))))

    def visitor(self, page: str) -> Visitor:
        """Who looks at the page; one that was never loaded here is a visitor of its own."""
        with self._lock:
            held = self._pages.get(page)
        return _stranger(page) if held is None else held.visitor

    def here(self) -> set[Visitor]:
        """Who has a page open; one that was never loaded is none."""
        with self._lock:
            return {each.visitor for each in self._pages.values() if each.client != STRANGE}

    def _page(self, page: str) -> _Page:
        """The page; one that was never loaded here, or was closed, has an owner of its own."""
        with self._lock:
            held = self._pages.get(page)
        if held is None:
            held = _Page(_stranger(page), STRANGE)
            self._keep(page, held)
        return held

    def strip(self, page: str) -> Strip:
        return self._page(page).strip

    def claim_correction(self, page: str, asked: Unfit, unfit: bool) -> bool:
        """Whether this answer is to correct a form: one does, and none after it. A dropdown tells
        twice that it was chosen, both at one time or when it is left, and the second answer would
        undo what was chosen since."""
        held = self._page(page)
        with self._lock:
            before = held.unfit
            if unfit:
                held.unfit = asked
            elif before is not None and before[0] != asked[0]:
                held.unfit = None
        return unfit and before != asked

    def made_before(self, page: str) -> tuple[Finished, ...]:
        """The pictures of the owner's runs that are still known, oldest first."""
        standing = self._runs.of(self._page(page).owner)
        return tuple(e for each in standing for e in each.results if isinstance(e, Finished))

    # Runs

    def submit(self, page: str, plan: Plan, fresh: bool = False) -> str:
        """Put a run, a comparison or a replay at the end of the owner's line; its name.

        Raises:
            QueueFull
        """
        held = self._page(page)
        return self._runs.submit(held.owner, plan, held.client, fresh=fresh)

    def watch(self, page: str, run_id: str) -> Iterator[AnyEvent]:
        """What a run of the page's owner says; leaving it changes nothing."""
        return self._runs.watch(self._page(page).owner, run_id)

    def going(self, page: str, kind: type[P]) -> tuple[tuple[P, Standing], ...]:
        """What runs or waits of one kind for the page's owner, with its plan."""
        standing = self._runs.of(self._page(page).owner)
        return tuple(
            (each.plan, each)
            for each in standing
            if isinstance(each.plan, kind) and not each.state.is_over
        )

    def is_running(self, page: str) -> bool:
        """Whether anything of the page's owner runs, waits or is fetched for a run."""
        fetching = self._page(page).fetching is not None
        return fetching or bool(self.going(page, RunPlan)) or self.is_comparing(page)

    def is_comparing(self, page: str) -> bool:
        return bool(self.going(page, ComparisonPlan))

    def cancel(self, page: str, kind: type[Plan], every: bool = False) -> bool:
        """Stop what is fetched, and what of one kind runs or comes next, or ``every`` entry of
        that kind; whether there was any."""
        held = self._page(page)
        if held.fetching is not None and kind is RunPlan:
            held.fetching.set()
            return True
        going = [
            each
            for each in self._runs.of(held.owner)
            if isinstance(each.plan, kind) and not each.state.is_over
        ]
        # The last ones first: none of them begins because the one before it was stopped.
        stopped = [
            self._runs.cancel(held.owner, each.run_id)
            for each in reversed(going if every else going[:1])
        ]
        return any(stopped)

    def move(self, page: str, run_id: str, ahead: int) -> None:
        """As ``Runs.move``."""
        self._runs.move(self._page(page).owner, run_id, ahead)

    def remove(self, page: str, run_id: str) -> None:
        """Take a run out of the line, or stop it.

        Raises:
            NoSuchRun
        """
        self._runs.cancel(self._page(page).owner, run_id)

    def leave(self, page: str, patience: float) -> bool:
        """Cancel all runs of the page's owner, and forget what they made; as ``Runs.leave``."""
        held = self._page(page)
        held.strip = Strip()
        return self._runs.leave(held.owner, patience)

    def let_go(self, page: str) -> None:
        """As ``Runs.let_go``."""
        self._runs.let_go(self._page(page).owner)

    def start_watching(self, page: str) -> bool:
        """Whether nothing of the page watches its line already; then the caller does."""
        held = self._page(page)
        with self._lock:
            free, held.watching = not held.watching, True
            return free

    def end_watching(self, page: str) -> None:
        with self._lock:
            if page in self._pages:
                self._pages[page].watching = False

    # Downloads before a run, which end with their page

    def start_fetching(self, page: str) -> threading.Event | None:
        """The cancel of what is fetched from now on; None while the page fetches something."""
        held = self._page(page)
        with self._lock:
            if held.fetching is not None:
                return None
            held.fetching = threading.Event()
            return held.fetching

    def end_fetching(self, page: str, cancel: threading.Event) -> None:
        held = self._page(page)
        with self._lock:
            if held.fetching is cancel:
                held.fetching = None

    def close(self, page: str) -> None:
        """The page is gone; the runs of its owner go on."""
        with self._lock:
            held = self._pages.pop(page, None)
        if held is not None:
            _gone(held)


def _stranger(page: str) -> Visitor:
    return Visitor(VisitorKind.GUEST, f"session {page}")


def _gone(page: _Page) -> None:
    """What it fetches for a run ends with it."""
    if page.fetching is not None:
        page.fetching.set()
