"""What a download says while it goes; it ends with ``Fetched``, ``Stopped`` or an error."""

from dataclasses import dataclass
from pathlib import Path

from studio.library.downloads.plan import DownloadPlan


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
