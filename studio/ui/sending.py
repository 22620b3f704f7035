"""Uploads under way, by the names that their senders give them, and what is told of them."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

PATIENCE = 3.0
"""Seconds for which an upload may be asked about before it begins, or after it ended."""
STEP = 0.1


class Sending:
    """For the server's one loop. gradio keeps every name that it was ever asked about, and tells
    of an upload that was broken off for ever."""

    def __init__(self) -> None:
        self._names: Counter[str] = Counter()

    @contextmanager
    def under_way(self, name: str) -> Iterator[None]:
        self._names[name] += 1
        try:
            yield
        finally:
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]

    async def tell(self, name: str, telling: Callable[[], Awaitable[None]]) -> bool:
        """Carry ``telling`` out while there is such an upload; False where there is none."""
        with anyio.move_on_after(PATIENCE):
            while name not in self._names:
                await anyio.sleep(STEP)
        if name not in self._names:
            return False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_with, name, tasks.cancel_scope)
            await telling()
            tasks.cancel_scope.cancel()
        return True

    async def _end_with(self, name: str, telling: anyio.CancelScope) -> None:
        while name in self._names:
            await anyio.sleep(STEP)
        await anyio.sleep(PATIENCE)
        telling.cancel()
