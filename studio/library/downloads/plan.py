"""What a download will do, decided before anything is fetched, and what it says while it goes."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.contract.base import Contract, in_bytes
from studio.presets.model_card import Published

DownloadKind = Literal["lora", "checkpoint", "model"]


class RemoteFile(Contract):
    """One file to fetch.

    Attributes:
        name: below the plan's target folder, ``/``-separated; of a LoRA, as published.
        url: the interface's own address, without any key; redirects are followed by hand.
        size: bytes; None where the publisher does not say.
        sha256: of the whole file; None where the publisher does not say.
        git_sha1: git's name for a small file's content, which the Hub gives instead.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


class DownloadPlan(Contract):
    """Everything a download is; only the metadata was asked for.

    Attributes:
        slug: the preset's, where there is one.
        kind: ``lora`` and ``checkpoint`` are one file and ``target`` its place; ``model`` is a
            folder.
        target: relative to MODEL_BASE_PATH, ``/``-separated.
        expected_sha256: the preset's or the pinned hash, which goes over the publisher's.
        notes: facts worth knowing before, a sentence each.
        conflict: where publisher and preset contradict each other, in one sentence.
    """

    slug: str | None
    label: str
    kind: DownloadKind
    published: Published
    files: tuple[RemoteFile, ...]
    target: str
    expected_sha256: str | None = None
    notes: tuple[str, ...] = ()
    conflict: str | None = None

    @property
    def size(self) -> int | None:
        """Bytes in all; None where the size of a file is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def sha256(self) -> str | None:
        """Of one file: the hash that is demanded."""
        if self.kind == "model":
            return None
        return self.expected_sha256 or self.files[0].sha256

    def describe(self) -> str:
        """ "218 MB from CivitAI, version 2636956, SHA-256 1f3a…" """
        said = [f"{in_bytes(self.size)} from {self.published.site}"]
        word = "version" if self.published.source == "civitai" else "revision"
        said.append(f"{word} {self.published.version[:12]}")
        if self.kind == "model":
            said.append(f"{len(self.files)} files, each checked by its hash")
        elif self.sha256 is not None:
            said.append(f"SHA-256 {self.sha256}")
        else:
            said.append("no SHA-256 published: it is pinned on first use")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another download of the same target is going on, here or in another process."""

    target: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """Bytes come.

    Attributes:
        file: the name of the one that comes.
        done, total: bytes of the whole plan; total is None where it is not known.
        speed: bytes a second over the last seconds; None at the start.
        remaining: seconds; None where nobody can tell.
    """

    file: str
    done: int
    total: int | None
    speed: float | None
    remaining: float | None


@dataclass(frozen=True, slots=True)
class Checking:
    """Bytes that are there already are hashed."""

    file: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """The weights are whole, checked and in their place.

    Attributes:
        already: they were there before; nothing was fetched.
        notes: what happened beside, a sentence each.
    """

    plan: DownloadPlan
    path: Path
    already: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """Cancelled; ``kept`` bytes wait for the next time."""

    kept: int


DownloadEvent = Waiting | Fetching | Checking | Fetched | Stopped


WINDOW = 5.0
"""Seconds over which the speed is averaged."""
EVERY = 0.2
"""Seconds between two events."""


class Meter:
    """Turns positions into ``Fetching`` events, a few a second.

    Args:
        total: bytes of the whole plan, None where it is not known.
        start: bytes that are there already.
    """

    def __init__(
        self, total: int | None, start: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), start)])
        self._told = float("-inf")

    def at(self, file: str, done: int) -> Fetching | None:
        """The event for this position; None where the last one is too fresh."""
        now = self._clock()
        if done < self._seen[-1][1]:  # begun anew: what came before is no speed
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW and len(self._seen) > 2:
            self._seen.popleft()
        last = self._total is not None and done >= self._total
        if now - self._told < EVERY and not last:
            return None
        self._told = now
        speed = self._speed()
        remaining = None
        if speed and self._total is not None:
            remaining = max(0.0, (self._total - done) / speed)
        return Fetching(file, done, self._total, speed, remaining)

    def _speed(self) -> float | None:
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end - start >= EVERY else None
