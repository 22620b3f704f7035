"""What the studio asks of whatever runs its plans, here or elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from studio.comparison.numbers import ClipIdentity, ClipReading
from studio.contract.events import Cancelled, Failed, Job, Loading, Progress, Queued, Stalled
from studio.contract.plan import BaseIdentity, Library, LoraUse, RunPlan, WorkerClass
from studio.contract.request import ReferenceImage
from studio.engine import Generated
from studio.resolve import BaseInPlace
from studio.resolve.gpu import GpuTime
from studio.resolve.memory import MemoryRules
from studio.storage.atomic import Stamp

if TYPE_CHECKING:
    from PIL.Image import Image

BackendEvent = Queued | Loading | Progress | Stalled | Generated | Cancelled | Failed
"""What a backend gives out; the workspace saves ``Generated`` and makes it ``Finished``."""


class BasePlace(NamedTuple):
    """A base's folder, or its one checkpoint file and the folder of its configurations.

    Attributes:
        stamps: file of the identity, or folder of such files (the base's own has no name) → its
            stamp from before it was proven; of those that may be replaced meanwhile.
    """

    path: Path
    layout: Path | None = None
    stamps: Mapping[str, Stamp] = MappingProxyType({})


class Weights(Protocol):
    """Where the machine that runs a job keeps what its plan names.

    Every file is found and proven by the SHA-256 in the plan before its place is given.

    Raises:
        WeightsError, UnusableReference: it is not there, or is another file.
    """

    def base(self, wanted: BaseIdentity) -> BasePlace: ...

    def lora(self, wanted: LoraUse) -> Path: ...

    def reference(self, wanted: ReferenceImage) -> Path: ...


class ClipReader(Protocol):
    """A CLIP model, loaded."""

    @property
    def identity(self) -> ClipIdentity: ...

    def read(self, images: Sequence[Image], texts: Sequence[str]) -> ClipReading: ...


class WorkerCondition(StrEnum):
    STARTING = "starting"
    FREE = "free"
    BUSY = "busy"
    IDLE = "another class"
    """Runs are planned for a class that it is not of."""
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as people are shown it.

    Attributes:
        hardware: of its class, in words; empty until it has said so.
        resident: labels of what is in its memory, bases first.
        running: the run in it, in words; empty for none.
        done, failed: runs since the studio was opened.
        problem: why it is refused or lost, or was last; empty for never.
    """

    name: str
    condition: WorkerCondition
    hardware: str = ""
    resident: tuple[str, ...] = ()
    running: str = ""
    done: int = 0
    failed: int = 0
    problem: str = ""

    @property
    def is_starting(self) -> bool:
        return self.condition is WorkerCondition.STARTING


class Backend(Protocol):
    """Runs jobs on one or several devices; safe for several threads."""

    def run(self, job: Job, cancel: threading.Event) -> Generator[BackendEvent, None, None]:
        """Queue the job and yield what happens: ``Queued`` whenever its place changes, then
        ``Loading``, ``Progress`` and ``Generated`` (and ``Stalled`` where none of them comes), and
        at the end nothing, ``Cancelled`` or ``Failed``.

        Setting ``cancel`` or closing the iterator takes a waiting run out of the queue and
        stops a running one, at the latest after two seconds for its reader. The backend sets it
        too, when it closes.

        Raises:
            EngineError: the backend is closed.
        """
        ...

    def release(self, session: str) -> None:
        """Free the LoRAs that only ``session`` used, after the runs before it; no waiting."""
        ...

    def queue_length(self) -> int:
        """Runs waiting or running."""
        ...

    def place(self, base: BaseInPlace) -> None:
        """Load a base for good, before anybody asks for it; on the main thread.

        Raises:
            StudioError: it cannot be found or loaded, or no base is ever loaded for good here.
        """
        ...

    def gpu_time(self, plan: RunPlan) -> GpuTime | None:
        """What a run of the plan asks of a GPU that is lent by the second; None where the device
        is the studio's own."""
        ...

    def memory_rules(self, base: str | None = None) -> MemoryRules:
        """What memory there is and what the settings ask of it; may import torch.

        Args:
            base: slug of the base that will run, where not all run on one device.

        Raises:
            DeviceError: the configured device is not there.
        """
        ...

    def libraries(self) -> tuple[Library, ...]:
        """Those that make the pixels where the next plan will run, with their versions."""
        ...

    def worker_class(self) -> WorkerClass | None:
        """What the next plan is resolved for; None where the studio itself runs it."""
        ...

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Those that run plans for the studio; none where it does so itself."""
        ...

    def describe_device(self) -> str:
        """For example ``CPU, 2 threads``; may import torch.

        Raises:
            DeviceError: the configured device is not there.
        """
        ...

    def clip_model(self, folder: Path) -> ClipReader:
        """The CLIP model in ``folder``, loaded on first use and kept; waits for its turn.

        Raises:
            WeightsError: the folder holds no whole CLIP model.
        """
        ...

    def warm_up(self) -> None:
        """Import what the first run needs; blocks for some seconds."""
        ...

    def close(self, patience: float | None = None) -> bool:
        """Cancel every run, take no more, and wait until the one in progress has stopped.

        Args:
            patience: seconds to wait at most; None waits for as long as it takes.

        Returns:
            whether it has stopped.
        """
        ...
