"""Plans into saved pictures: sessions, and what each of them runs or waits for."""

import logging
import threading
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from studio.backends import Backend, BackendEvent, Generated, LibraryWeights
from studio.contract.events import Event, Failed, Finished, Job
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.errors import StudioError
from studio.imaging.references import References
from studio.settings import Settings
from studio.workspace.visitors import Visitors

logger = logging.getLogger("studio.workspace.running")


class EitherEvent(threading.Event):
    """Reads as set when it is set itself, or when ``other`` is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


class Running:
    """What the sessions run on the device; each picture is saved before it is told."""

    def __init__(
        self,
        settings: Settings,
        visitors: Visitors,
        references: References,
        weights: LibraryWeights,
        backend: Backend,
        signer: str | None,
    ) -> None:
        self._settings = settings
        self._visitors = visitors
        self._references = references
        self._weights = weights
        self._backend = backend
        self._signer = signer
        self._running: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()

    def open_session(self) -> str:
        """A handle that owns what one browser page or one command asks for."""
        session = uuid.uuid4().hex
        with self._lock:
            self._running[session] = set()
        return session

    def close_session(self, session: str) -> None:
        """Cancel what the session runs or waits for; release the LoRAs only it used."""
        with self._lock:
            waiting = self._running.pop(session, set())
        for cancel in waiting:
            cancel.set()
        self._backend.release(session)

    def close_all(self) -> None:
        """Close every session that is open."""
        with self._lock:
            sessions = list(self._running)
        for session in sessions:
            self.close_session(session)

    @contextmanager
    def _counted(self, session: str, cancel: threading.Event) -> Iterator[threading.Event]:
        """Set with ``cancel``, and when the session is closed while this lasts."""
        own = EitherEvent(cancel)
        with self._lock:
            self._running[session].add(own)
        try:
            yield own
        finally:
            with self._lock:
                self._running.get(session, set()).discard(own)

    def run(
        self,
        plan: RunPlan,
        session: str,
        cancel: threading.Event,
        previews: bool = True,
        group: str | None = None,
    ) -> Generator[Event, None, None]:
        """Queue, generate and save; ends with Finished (one an image), Cancelled or Failed.

        Closing the generator cancels the run. ``cancel`` is only read, never set.

        Args:
            previews: show pictures while they are made.
            group: as ``Job.group``.

        Raises:
            KeyError: the session is not open.
        """
        job = Job(
            run_id=uuid.uuid4().hex[:12],
            session=session,
            plan=plan,
            previews=previews,
            group=group,
        )
        with self._counted(session, cancel) as own:
            yield from self._events(job, own)

    def _events(self, job: Job, cancel: threading.Event) -> Iterator[Event]:
        plan = job.plan
        try:
            used = {each.sha256 for each in plan.references}
            # Closing takes the run out of the queue, or stops it, when a picture cannot be
            # saved or nobody listens any more.
            with self._references.held(used), closing(self._backend.run(job, cancel)) as events:
                for event in events:
                    if isinstance(event, Generated):
                        self._weights.pin(plan)
                        yield self._saved(plan, event)
                    else:
                        yield event
        except StudioError as error:
            logger.warning("run %s failed: %s", job.run_id, error)
            yield Failed(job.run_id, error.code, error.message, error.way_out)

    def rerun(
        self, plan: RunPlan, index: int, session: str, cancel: threading.Event
    ) -> Generator[BackendEvent, None, None]:
        """Make picture ``index`` of a recorded plan again, and keep nothing: ``Generated`` has it.

        Raises:
            KeyError: the session is not open.
        """
        run_id = uuid.uuid4().hex[:12]
        job = Job(run_id=run_id, session=session, plan=plan, previews=False, only=index)
        used = {each.sha256 for each in plan.references}
        with (
            self._counted(session, cancel) as own,
            self._references.held(used),
            closing(self._backend.run(job, own)) as events,
        ):
            yield from events

    def _saved(self, plan: RunPlan, made: Generated) -> Finished:
        marks = (self._references.mark(each.sha256) for each in plan.references)
        inherited = tuple(mark for mark in dict.fromkeys(marks) if mark is not None)
        record = RunRecord.of(
            plan, made.receipt, inherited, self._settings.aigc_producer, self._signer
        )
        path = self._visitors.made().save(
            made.image, record, {r.sha256: self._weights.reference(r) for r in plan.references}
        )
        return Finished(made.run_id, made.index, made.count, path, record)
