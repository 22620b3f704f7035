"""A run in a queue."""

from __future__ import annotations

import queue
import threading
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from studio.backends.base import BackendEvent
from studio.backends.turns import Turns
from studio.contract.events import Job, Queued


@dataclass(slots=True, eq=False)
class Ticket:
    job: Job
    cancel: threading.Event
    events: queue.SimpleQueue[BackendEvent | None] = field(default_factory=queue.SimpleQueue)
    """None is the last of them."""
    context: Context = field(default_factory=copy_context)
    """Where it was asked for; its weights are found for whoever asked."""
    ahead: int | None = None


AnyTicket = TypeVar("AnyTicket", bound=Ticket)


def tell_places(turns: Turns[AnyTicket], busy: bool) -> None:
    """Tell each waiting run how many come before it, where that is news."""
    for place, ticket in enumerate(turns.order()):
        if ticket.ahead != place + busy:
            ticket.ahead = place + busy
            ticket.events.put(Queued(ticket.job.run_id, ticket.ahead))
