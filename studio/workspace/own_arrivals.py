"""How many LoRAs the visitors of a public page may bring, and how many in a while."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import LoraNotTaken

IN_ALL = 60
"""Of everybody, here or on the way."""
WINDOW = 900.0
"""Seconds for which one that came counts, whether it was taken and is still here or not."""


@dataclass(slots=True)
class Arrival:
    """One that comes, in a folder of its own, which goes unless ``kept``."""

    owner: Path
    client: str
    folder: Path
    kept: bool = False


class Arrivals:
    """Counts what comes and came lately; for one thread at a time.

    Args:
        most: that each visitor may have here, and bring within WINDOW.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._coming: list[Arrival] = []
        self._came: deque[tuple[float, str]] = deque()

    def begin(self, coming: Arrival, here: Sequence[str]) -> None:
        """One more comes. Those that are here, come, or came lately count; a removed one does not
        free its place at once, or one visitor could have the page fetch without an end.

        Args:
            here: the client of each that is here.

        Raises:
            LoraNotTaken: no more may come.
        """
        while self._came and time.monotonic() - self._came[0][0] > WINDOW:
            self._came.popleft()
        clients = [each.client for each in self._coming]
        lately = [each for _, each in self._came]
        client = coming.client
        own = max(here.count(client), lately.count(client)) + clients.count(client)
        if own >= self._most:
            raise LoraNotTaken(
                f"A visitor may have {self._most} LoRAs of their own here, and bring as "
                "many in a quarter of an hour (VISITOR_LORAS).",
                "Remove yours, or wait.",
                "too_many_loras",
            )
        if len(here) + len(clients) >= IN_ALL:
            raise LoraNotTaken(
                "This page holds as many LoRAs of visitors as it can.",
                "Try again when others have left.",
                "too_many_loras",
            )
        self._coming.append(coming)

    def end(self, coming: Arrival, came: bool) -> None:
        """It comes no more.

        Args:
            came: whether there was anything of it.
        """
        self._coming.remove(coming)
        if came:
            self._came.append((time.monotonic(), coming.client))
