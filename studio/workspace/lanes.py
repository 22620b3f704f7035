"""Work shared out among the workers that there are: in how many lanes, and what they say."""

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

from studio.backends.base import WorkerCondition
from studio.workspace.workspace import Workspace

T = TypeVar("T")

LEAST = 4
"""Pictures for which a further lane is worth the weights that it loads and the controls that it
makes."""
_USABLE = (WorkerCondition.FREE, WorkerCondition.BUSY, WorkerCondition.STARTING)


def lanes_for(workspace: Workspace, pictures: int) -> int:
    """In how many lanes so many pictures are best made at the same time: one where there are no
    workers, else at most one for each worker of the class that plans are for."""
    usable = sum(each.condition in _USABLE for each in workspace.workers())
    return max(1, min(usable, pictures // LEAST))


def together(
    lanes: Sequence[Generator[T, None, None]], stop: threading.Event
) -> Generator[T, None, None]:
    """What all lanes say, as it comes. A single lane runs in the thread of whoever reads.

    Closing the iterator, or an error of one lane, which is raised at the end, sets ``stop``,
    at which lanes have to end: they all have when it does.
    """
    if len(lanes) < 2:
        for lane in lanes:
            yield from lane
        return
    said: SimpleQueue[tuple[T] | None] = SimpleQueue()
    left = len(lanes)
    with ThreadPoolExecutor(left, thread_name_prefix="studio-lane") as pool:
        carried = [pool.submit(copy_context().run, _carry, lane, said, stop) for lane in lanes]
        try:
            while left:
                each = said.get()
                if each is None:
                    left -= 1
                else:
                    yield each[0]
        finally:
            if left:
                stop.set()
    for future in carried:
        future.result()


def _carry(
    lane: Generator[T, None, None], said: SimpleQueue[tuple[T] | None], stop: threading.Event
) -> None:
    try:
        with closing(lane):
            for each in lane:
                said.put((each,))
    except BaseException:
        stop.set()
        raise
    finally:
        said.put(None)
