"""Downloads that go on in the background, whoever looks: one a preset, seen by every page."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from studio.errors import StudioError
from studio.library.downloads import DownloadEvent, Fetched, Fetching, Stopped
from studio.library.stock import Stock

logger = logging.getLogger("studio.library.transfers")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One download as it stands.

    Attributes:
        event: the last thing it said; None before the first.
        error: why it failed.
    """

    slug: str
    event: DownloadEvent | None = None
    error: StudioError | None = None

    @property
    def is_going(self) -> bool:
        return self.error is None and not isinstance(self.event, Fetched | Stopped)

    @property
    def share(self) -> float | None:
        """How much of it is there, 0 to 1; None where nobody knows."""
        event = self.event
        if not isinstance(event, Fetching) or not event.total:
            return None
        return min(1.0, event.done / event.total)


@dataclass(slots=True)
class _Running:
    state: Transfer
    cancel: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Transfers:
    """Starts, shows and stops downloads; safe for several threads."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()

    def start(self, slug: str) -> None:
        """Begin; nothing where the preset's download goes on already."""
        with self._lock:
            held = self._running.get(slug)
            if held is not None and held.state.is_going:
                return
            held = self._running[slug] = _Running(Transfer(slug))
            held.thread = threading.Thread(
                target=self._run, args=(held,), name=f"studio-fetch-{slug}", daemon=True
            )
            held.thread.start()

    def cancel(self, slug: str) -> None:
        """Ask a download to stop; what has come is kept."""
        with self._lock:
            held = self._running.get(slug)
        if held is not None:
            held.cancel.set()

    def all(self) -> Mapping[str, Transfer]:
        """Every download of this process by its preset's slug, ended ones too."""
        with self._lock:
            return {slug: held.state for slug, held in self._running.items()}

    def are_going(self) -> bool:
        return any(state.is_going for state in self.all().values())

    def forget(self, slug: str) -> None:
        """Drop what an ended download said."""
        with self._lock:
            held = self._running.get(slug)
            if held is not None and not held.state.is_going:
                del self._running[slug]

    def close(self, patience: float | None = None) -> bool:
        """Stop everything, and wait for it.

        Args:
            patience: seconds to wait at most; None waits for as long as it takes.

        Returns:
            whether it has stopped.
        """
        deadline = None if patience is None else time.monotonic() + patience
        with self._lock:
            running = list(self._running.values())
        for held in running:
            held.cancel.set()
        threads = [held.thread for held in running if held.thread is not None]
        for thread in threads:
            thread.join(None if deadline is None else max(deadline - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, held: _Running) -> None:
        slug = held.state.slug
        try:
            for event in self._stock.download(slug, held.cancel):
                held.state = replace(held.state, event=event)
        except StudioError as error:
            logger.warning("download of %s failed: %s", slug, error)
            held.state = replace(held.state, error=error)
        except Exception as error:
            # The thread's boundary: a download that meets the unforeseen must not look as if
            # it went on. What it was stands in the log with its traceback.
            logger.exception("download of %s met an unexpected error", slug)
            text = f"Unexpected error during the download: {type(error).__name__}."
            held.state = replace(
                held.state, error=StudioError(text, "Report it with the studio's log.")
            )
