"""One sending of a run to a worker: its order, its events, its cancel, and its end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import ray

from studio.backends.cluster.fleet import Remote, in_a_line
from studio.backends.cluster.share import WeightShare
from studio.backends.cluster.wire import (
    Resident,
    RunOrder,
    WireEvent,
    WorkerEvent,
    WorkerRefused,
    hear,
)
from studio.backends.library import LibraryWeights
from studio.backends.tickets import Ticket
from studio.backends.watch import LOOK_AGAIN
from studio.contract.audit import discrepancies
from studio.contract.events import Cancelled, Failed, Progress, Stalled
from studio.contract.receipt import WorkerReceipt
from studio.engine import Generated
from studio.errors import ContractBroken, StudioError

STUCK = 30.0
"""Seconds in which a step may be silent at least; ``SLOWER`` times the median of the run's own
steps where that is more. Then its worker is killed."""
SLOWER = 20
CANCELLING = 30.0
"""Seconds in which a worker has to stop a cancelled run; then it is killed."""


@dataclass(slots=True, eq=False)
class RemoteTicket(Ticket):
    """A run that workers carry out.

    Attributes:
        sent: how often it was sent to a worker.
        moved_from: workers that were lost with it, before it had made a picture.
        made: the pictures that came (0-based).
        jumped: as in ``WaitingRun``.
    """

    sent: int = 0
    moved_from: tuple[str, ...] = ()
    made: set[int] = field(default_factory=set)
    jumped: int = 0

    @property
    def delivery(self) -> str:
        return f"{self.job.run_id}/{self.sent}"

    @property
    def words(self) -> str:
        plan = self.job.plan
        return ", ".join((plan.base.label, *(use.label for use in plan.loras)))


class Carrier:
    """Sends a run and hears it out.

    Attributes:
        failed: whether the run broke; ``broke_contract``: because what happened was not planned,
            or the base no longer is what was loaded.
        resident: what is in the worker's memory afterwards; None where it did not say.
    """

    def __init__(
        self,
        ticket: RemoteTicket,
        remote: Remote,
        share: WeightShare,
        weights: LibraryWeights,
    ) -> None:
        self.ticket = ticket
        self.remote = remote
        self.failed = False
        self.broke_contract = False
        self.resident: Mapping[str, frozenset[str]] | None = None
        self._share = share
        self._weights = weights
        self._heard = time.monotonic()
        self._step: Progress | None = None
        self._steps: list[float] = []
        self._ended = False

    def carry(self) -> str | None:
        """Until the run's end; why its worker was lost, where it was."""
        try:
            return self._hear_out(self._sent())
        except ray.exceptions.RayActorError as error:
            return in_a_line(error)
        except ray.exceptions.RayTaskError as error:
            self._fail("unexpected", f"The worker met an unexpected error: {error.cause!r}")
        except StudioError as error:
            self._fail(error.code, error.message, error.way_out)
        except ray.exceptions.RayError as error:
            return in_a_line(error)
        return None

    def _sent(self) -> ray.ObjectRefGenerator:
        ticket = self.ticket
        plan = ticket.job.plan
        self._share.offer(plan)
        order = RunOrder(
            delivery=ticket.delivery,
            fingerprint=plan.fingerprint,
            job=ticket.job,
            share=self._share.share,
        )
        pictures = {
            each.sha256: self._weights.reference(each).read_bytes() for each in plan.references
        }
        stream: ray.ObjectRefGenerator = self.remote.actor.run.remote(order.text(), pictures)
        return stream

    def _hear_out(self, stream: ray.ObjectRefGenerator) -> str | None:
        cancelled: float | None = None
        while True:
            ready, _ = ray.wait([stream], timeout=LOOK_AGAIN)
            now = time.monotonic()
            if ready:
                try:
                    said: WireEvent = ray.get(next(stream))
                except StopIteration:
                    self._demand_end()
                    return None
                self._hear(hear(said), now)
            if self.ticket.cancel.is_set() and cancelled is None:
                cancelled = now
                self.remote.actor.cancel.remote(self.ticket.delivery)
            why = self._overdue(now, cancelled)
            if why is not None:
                ray.kill(self.remote.actor)
                return why

    def _hear(self, event: WorkerEvent, now: float) -> None:
        if isinstance(event, Resident):
            self.resident = event.sets()
        elif isinstance(event, WorkerRefused):
            self._fail("worker_refused", f"Worker {self.remote.name} refused the run. "
                       f"{event.message}", event.way_out)  # fmt: skip
        elif isinstance(event, Generated):
            self._take(event)
            self._step, self._heard = None, now
        else:
            if isinstance(event, Failed):
                self.failed = True
                self.broke_contract = event.code == ContractBroken.code
            self._ended = self._ended or isinstance(event, Failed | Cancelled)
            if isinstance(event, Progress):
                if event.step > 1:
                    self._steps.append(now - self._heard)
                self._step = event
            if not isinstance(event, Stalled):
                self._heard = now
            self.ticket.events.put(event)

    def _take(self, made: Generated) -> None:
        """A picture is kept once, and only if its receipt is what the plan says.

        Raises:
            ContractBroken: it is not.
        """
        ticket, hello = self.ticket, self.remote.hello
        if made.index in ticket.made or hello is None:
            return
        receipt = made.receipt.model_copy(
            update={
                "worker": WorkerReceipt(
                    name=self.remote.name,
                    process=hello.process,
                    worker_class=hello.worker_class,
                    moved_from=ticket.moved_from,
                )
            }
        )
        wrong = discrepancies(ticket.job.plan, receipt)
        if ticket.job.only is None and wrong:
            self.broke_contract = True
            raise ContractBroken(
                f"What worker {self.remote.name} did is not what was planned. {' '.join(wrong)}",
                "The picture is not kept; report it with the plan's fingerprint.",
            )
        ticket.made.add(made.index)
        ticket.events.put(Generated(made.run_id, made.index, made.count, made.image, receipt))

    def _overdue(self, now: float, cancelled: float | None) -> str | None:
        """Why the worker is not waited for any longer; None while it is."""
        if cancelled is not None:
            late = now - cancelled > CANCELLING
            return f"it did not stop within {CANCELLING:.0f} s of the cancel" if late else None
        step = self._step
        if step is None or step.step >= step.steps or not self._steps:
            return None
        silent, limit = now - self._heard, max(STUCK, SLOWER * statistics.median(self._steps))
        if silent <= limit:
            return None
        return f"step {step.step + 1} of {step.steps} had not ended after {silent:.0f} s"

    def _demand_end(self) -> None:
        """A stream that ends has said how, or has all the pictures."""
        job = self.ticket.job
        wanted = {job.only} if job.only is not None else set(range(job.plan.count))
        if not self._ended and not wanted <= self.ticket.made:
            self._fail("worker", f"Worker {self.remote.name} ended the run without its pictures.")

    def _fail(
        self, code: str, message: str, way_out: str = "Report it with the worker's log."
    ) -> None:
        self.failed = self._ended = True
        self.ticket.events.put(Failed(self.ticket.job.run_id, code, message, way_out))
