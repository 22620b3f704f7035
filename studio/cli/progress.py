"""A run on the command line: its events on standard error, Ctrl-C as its cancel."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from studio.cli.console import Console
from studio.contract.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loading,
    Progress,
    Queued,
    Stalled,
)
from studio.contract.plan import RunPlan
from studio.workspace.workspace import Workspace

BAR = 24


@dataclass(slots=True)
class RunOutcome:
    """What came of a run; images that were finished stay, whatever came after."""

    finished: list[Finished] = field(default_factory=list)
    failed: Failed | None = None
    cancelled: bool = False


def carry_out(console: Console, workspace: Workspace, plan: RunPlan) -> RunOutcome:
    """Run ``plan`` to its end, saying how far it is."""
    outcome = RunOutcome()
    line = ProgressLine(console)
    session = workspace.open_session()
    try:
        with cancelled_by_ctrl_c(console) as cancel:
            for event in workspace.run(plan, session, cancel):
                line.show(event)
                _collect(outcome, event)
    finally:
        line.end()
        workspace.close_session(session)
    return outcome


def _collect(outcome: RunOutcome, event: Event) -> None:
    match event:
        case Finished():
            outcome.finished.append(event)
        case Failed():
            outcome.failed = event
        case Cancelled():
            outcome.cancelled = True


@contextmanager
def cancelled_by_ctrl_c(
    console: Console, said: str = "Cancelling after this step."
) -> Iterator[threading.Event]:
    """The first Ctrl-C asks the work to stop when it can; the second stops at once."""
    cancel = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            if callable(before):  # what the whole command does at a Ctrl-C
                before(number, frame)
            raise KeyboardInterrupt
        cancel.set()
        console.note(f"\n{said} Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


class ProgressLine:
    """One line that is written over on a terminal; a line a stage elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.err.isatty()
        self._open = False

    def show(self, event: Event, where: str = "") -> None:
        """``where`` stands before what is said, as "Cell 2 of 6: "."""
        match event:
            case Queued(ahead=ahead) if ahead:
                self.write(f"{where}Waiting; {ahead} before this one.")
            case Loading(stage=stage):
                self.write(f"{where}{stage}")
            case Stalled():
                self.write(f"{where}{event.line}")
            case Progress() if self._live:
                self.write(f"{where}{_bar(event)}")
            case Progress(step=1) if not self._live:
                image = f"Image {event.index + 1} of {event.count}: {event.steps} steps"
                self.write(f"{where}{image}")

    def write(self, text: str, passing: bool = False) -> None:
        """``passing`` is left out where every line stays."""
        if not self._live:
            if not passing:
                self._console.note(text)
            return
        self._console.err.write(f"\r\x1b[K{text}")
        self._console.err.flush()
        self._open = True

    def end(self) -> None:
        """Leave the line blank for what comes next."""
        if self._open:
            self._console.err.write("\r\x1b[K")
            self._console.err.flush()
            self._open = False


def _bar(event: Progress) -> str:
    done = BAR * event.step // event.steps
    return (
        f"Image {event.index + 1} of {event.count}  {'━' * done}{'╌' * (BAR - done)}  "
        f"step {event.step} of {event.steps}"
    )
