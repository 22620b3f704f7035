"""Several lanes at the same time: what they say, how they stop, and how they break."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass

import pytest

from studio.backends.base import WorkerCondition, WorkerStatus
from studio.workspace.lanes import lanes_for, together

WAIT = 30.0
asker: ContextVar[str] = ContextVar("asker")


@dataclass
class Staffed:
    """What ``lanes_for`` reads of a workspace."""

    conditions: tuple[WorkerCondition, ...]

    def workers(self) -> tuple[WorkerStatus, ...]:
        return tuple(WorkerStatus(str(n), each) for n, each in enumerate(self.conditions))


def test_as_many_lanes_as_workers_that_can_and_pictures_that_pay() -> None:
    free, busy, lost = WorkerCondition.FREE, WorkerCondition.BUSY, WorkerCondition.LOST
    other = WorkerCondition.IDLE
    for conditions, pictures, lanes in (
        ((), 64, 1),
        ((free, busy), 64, 2),
        ((free, busy), 7, 1),
        ((free, lost, other), 64, 1),
        ((lost,), 64, 1),
    ):
        assert lanes_for(Staffed(conditions), pictures) == lanes  # type: ignore[arg-type]


def test_lanes_run_at_the_same_time_and_for_who_asked() -> None:
    meet = threading.Barrier(2)

    def lane(name: str) -> Generator[str, None, None]:
        meet.wait(WAIT)
        yield f"{name} for {asker.get()}"

    asker.set("ann")
    said = together([lane("a"), lane("b")], threading.Event())
    assert sorted(said) == ["a for ann", "b for ann"]


def test_one_lane_is_the_readers_own_thread() -> None:
    def lane() -> Generator[int, None, None]:
        yield threading.get_ident()

    assert list(together([lane()], threading.Event())) == [threading.get_ident()]


def endless(stop: threading.Event, ended: list[str]) -> Generator[int, None, None]:
    try:
        yield 0
        assert stop.wait(WAIT)
    finally:
        ended.append("closed")


def test_an_error_of_one_lane_stops_the_others_and_is_raised() -> None:
    stop, ended = threading.Event(), list[str]()

    def broken() -> Generator[int, None, None]:
        yield 1
        raise KeyError("session")

    with pytest.raises(KeyError):
        list(together([endless(stop, ended), broken()], stop))
    assert ended == ["closed"]


def test_closing_ends_every_lane() -> None:
    stop, ended = threading.Event(), list[str]()
    with closing(together([endless(stop, ended), endless(stop, ended)], stop)) as said:
        assert next(said) == 0
    assert ended == ["closed", "closed"]
