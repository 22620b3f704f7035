"""Longer work on the library that goes on in the background, whoever looks: one at a time."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.errors import StudioError
from studio.library.downloads.transfer import TransferCancelled
from studio.library.identify import Step, Stepwise
from studio.library.preset_stock import PresetStock
from studio.presets import Preset

logger = logging.getLogger("studio.library.chores")


@dataclass(frozen=True, slots=True)
class Adopted:
    """How many presets were made; (file, sentence) of files that none could be made of."""

    count: int
    problems: tuple[tuple[str, str], ...]


def adopt(stock: PresetStock, slugs: Sequence[str], cancel: threading.Event) -> Stepwise[Adopted]:
    """Make presets of files that have none, as ``suggest_file`` does, and write them at once.

    Args:
        slugs: of their entries; of others, and of bases, nothing is made.

    Raises:
        PresetsError: the studio's own file cannot be written.
        TransferCancelled: ``cancel`` was set; nothing is written.
    """
    made: list[Preset] = []
    problems = []
    for number, slug in enumerate(slugs):
        preset = stock.catalog.loras.get(slug)
        if preset is None or slug not in stock.catalog.derived:
            continue
        if cancel.is_set():
            raise TransferCancelled
        place = stock.locate(slug)
        yield Step(f"Reading {place.name}", number, len(slugs))
        try:
            made.append(stock.suggest_file(place, {}).preset)
        except StudioError as error:
            problems.append((place.name, str(error)))
    if made:
        stock.put(*made)
    return Adopted(len(made), tuple(problems))


@dataclass(frozen=True, slots=True)
class Chore:
    """One as it stands.

    Attributes:
        name: what it does, in words.
        result: what came of it; None while it goes on, and where it failed or was cancelled.
        error: why it failed.
    """

    name: str
    step: Step | None = None
    result: Any = None
    error: StudioError | None = None
    is_going: bool = True


class Chores:
    """Starts, shows and stops them; safe for several threads."""

    def __init__(self) -> None:
        self.standing: Chore | None = None
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, name: str, work: Callable[[threading.Event], Stepwise[Any]]) -> bool:
        """Begin; False where another one goes on."""
        with self._lock:
            if self.standing is not None and self.standing.is_going:
                return False
            self.standing = Chore(name)
            self._cancel = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(work, self._cancel), name="studio-chore", daemon=True
            )
            self._thread.start()
            return True

    def cancel(self) -> None:
        """Ask it to stop; what it has found is kept where that can be."""
        self._cancel.set()

    def close(self, patience: float | None = None) -> bool:
        """Stop it; whether it has ended within ``patience`` seconds."""
        self.cancel()
        thread = self._thread
        if thread is not None:
            thread.join(patience)
        return thread is None or not thread.is_alive()

    def _run(
        self, work: Callable[[threading.Event], Stepwise[Any]], cancel: threading.Event
    ) -> None:
        try:
            steps = work(cancel)
            while not cancel.is_set():
                self._say(step=next(steps))
            steps.close()
        except StopIteration as end:
            self._say(result=end.value)
        except TransferCancelled:
            pass
        except StudioError as error:
            self._say(error=error)
        except Exception as error:  # the thread's boundary: said, not lost
            logger.exception("work on the library met an unexpected error")
            what = f"This met an error the studio does not know: {type(error).__name__}."
            self._say(error=StudioError(what, "Report it with the studio's log."))
        finally:
            self._say(is_going=False)

    def _say(self, **more: Any) -> None:
        assert self.standing is not None
        self.standing = replace(self.standing, **more)
