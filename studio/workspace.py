"""Composes everything: one workspace serves the page, the command line and the tests."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from studio.events import Event
from studio.plan import RunPlan
from studio.presets import Catalog
from studio.preset_text import PresetProblem
from studio.request import GenerationRequest
from studio.settings import Settings
from studio.violations import Violation


class Workspace:
    """Catalog, weights, engine and gallery behind one door.

    Attributes:
        settings, catalog, gallery: as opened.
        problems: what is wrong in the preset files; the other entries are in the catalog.
    """

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Read presets and the gallery's index. Does not import torch."""

    def plan(self, request: GenerationRequest) -> RunPlan | tuple[Violation, ...]:
        """Resolve; hashes the chosen weights (cached) and never loads them."""

    def present(self) -> Mapping[str, bool]:
        """Every preset's slug → whether its weights are on disk (no hashing)."""

    def open_session(self) -> str: ...

    def close_session(self, session: str) -> None:
        """Cancels what the session waits for, and releases the LoRAs only it used."""

    def run(
        self, plan: RunPlan, session: str, cancel: threading.Event
    ) -> Iterator[Event]:
        """Queue, generate and save; ends with Finished (one per image), Cancelled or Failed."""

    def queue_length(self) -> int:
        """Runs waiting or running on the device."""

    def describe_device(self) -> str:
        """For example "CPU, 2 threads"; imports torch on first use."""

    def inspect(self, path: Path): ...

    def warm_up(self) -> None:
        """Import torch and friends in a background thread, so the first run is quick."""

    def close(self) -> None: ...
