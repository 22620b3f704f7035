"""Whose turn it is: in order within a session, and the sessions one after another."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Turn = TypeVar("Turn")


class Turns(Generic[Turn]):
    """What waits, session by session; not safe for several threads by itself."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Turn]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, session: str, item: Turn) -> None:
        self._lines.setdefault(session, deque()).append(item)

    def put_first(self, session: str, item: Turn) -> None:
        """Back to where it came from: the next of its session, and its session the next."""
        line = self._lines.pop(session, deque())
        line.appendleft(item)
        self._lines = {session: line, **self._lines}

    def remove(self, session: str, item: Turn) -> bool:
        """Take a waiting item out; False if it is not waiting (any more)."""
        line = self._lines.get(session)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[session]
        return True

    def take(self, session: str, item: Turn) -> None:
        """It is its session's turn, which goes to the end of the round: the others are next."""
        line = self._lines.pop(session)
        line.remove(item)
        if line:
            self._lines[session] = line

    def order(self) -> list[Turn]:
        """Everything that waits, in the order in which it will run."""
        lines = [list(line) for line in self._lines.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]
