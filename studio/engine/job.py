"""What the engine is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.events import Loading, Progress
from studio.contract.plan import RunPlan
from studio.contract.receipt import Receipt
from studio.resolve.inventory import base_place
from studio.storage.atomic import Stamp

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class LocalJob:
    """One plan to execute, with the places of its weights on this machine.

    Attributes:
        session: whose run it is; LoRAs stay resident until no session needs them.
        base_path: folder of the base model (diffusers layout), or its one checkpoint file.
        lora_paths: slug → file, for every LoRA of the plan.
        reference_paths: SHA-256 → file, for every reference image of the plan.
        layout: where a checkpoint's configurations and tokenizers lie; None for a folder.
        base_stamps: file or folder of the base → its stamp from before it was proven; what is
            loaded must still have it. Of those that may be replaced meanwhile.
        previews: whether pictures are shown while they are made.
        only: make this picture (0-based) of the plan's, and none of the others.
    """

    run_id: str
    session: str
    plan: RunPlan
    base_path: Path
    lora_paths: Mapping[str, Path]
    reference_paths: Mapping[str, Path] = field(default_factory=dict)
    layout: Path | None = None
    base_stamps: Mapping[str, Stamp] = field(default_factory=dict)
    previews: bool = True
    only: int | None = None

    def base_place(self, name: str) -> Path:
        """Where one of the base's files lies."""
        return base_place(self.base_path, self.layout, name)


@dataclass(frozen=True, slots=True)
class Generated:
    """One finished picture (RGB), not saved yet, and what it was really made with."""

    run_id: str
    index: int
    count: int
    image: Image
    receipt: Receipt


class Interrupted(BaseException):
    """A cancel that a stage did not hear in time, raised in its midst by another thread.

    No ``Exception``, so that no library takes it for a fault of its own and goes on.
    """


class RunCancelled(Exception):
    """A request that was honoured, not an error: the run stopped and the pipeline is clean."""


EngineEvent = Loading | Progress | Generated
Publish = Callable[[EngineEvent], None]
