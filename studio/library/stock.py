"""Presets and their weights: what there is, what can be fetched, and the fetching of it."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from studio.contract.violations import Violation, WeightsMissing
from studio.errors import StudioError, WeightsError
from studio.library.downloads import (
    DownloadEvent,
    DownloadPlan,
    Fetched,
    Stopped,
)
from studio.library.downloads.errors import DownloadError, PlaceTaken, SourceUnknown
from studio.library.downloads.transfer import TransferCancelled, patiently
from studio.library.preset_stock import Known, PresetStock
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, Preset
from studio.presets.catalog import memory_key
from studio.presets.parse import PresetProblem
from studio.settings import Settings

ASK_AGAIN = 60.0
"""Seconds after which a look-up that failed is made again, where it is still wanted."""
logger = logging.getLogger("studio.library.stock")


@dataclass(frozen=True, slots=True)
class MissingWeights:
    """Weights that a run misses and would fetch; ``known`` is None until it was looked up."""

    preset: Preset
    known: Known | None


class Stock(PresetStock):
    """Also what can be fetched, and the fetching of it; safe for several threads."""

    def __init__(
        self,
        settings: Settings,
        store: WeightStore,
        catalog: Catalog,
        problems: tuple[PresetProblem, ...] = (),
    ) -> None:
        super().__init__(settings, store, catalog, problems)
        self._failed_at: dict[str, float] = {}
        self._asking: set[str] = set()

    # What can be fetched

    def can_fetch(self, preset: Preset) -> bool:
        """Whether the preset says where its weights come from, and is nobody's own."""
        if preset.slug in self._store.brought:
            return False
        try:
            self.downloads.source_of(preset)
        except SourceUnknown:
            return False
        return True

    def missing(self, violations: Sequence[Violation]) -> tuple[MissingWeights, ...]:
        """What a run would fetch first, where nothing else stands in its way.

        Empty where the studio may not fetch unasked (AUTO_DOWNLOAD), something cannot be
        fetched, or another rule is broken.
        """
        if not self._settings.runs_may_fetch:
            return ()
        found = []
        for violation in violations:
            if not isinstance(violation, WeightsMissing):
                return ()
            preset = self.preset(violation.slug)
            if not self.can_fetch(preset):
                return ()
            found.append(MissingWeights(preset, self.known(violation.slug)))
        return tuple(found)

    def known(self, slug: str) -> Known | None:
        """What was found out about a download before; asks nobody."""
        with self._lock:
            held = self._known.get(slug)
        preset = self.catalog.models.get(slug) or self.catalog.loras.get(slug)
        return held[1] if held is not None and held[0] == preset else None

    def plan_download(self, slug: str) -> DownloadPlan:
        """What fetching a preset's weights means; asks for metadata, once.

        Raises:
            KeyError: no preset has this slug.
            DownloadError: by its kind.
        """
        known = self.known(slug)
        if isinstance(known, DownloadPlan):
            return known
        preset = self.preset(slug)
        try:
            plan: Known = self._plan(preset)
        except StudioError as error:
            plan = error
        with self._lock:
            self._known[slug] = (preset, plan)
            if isinstance(plan, StudioError):
                self._failed_at[slug] = time.monotonic()
        if isinstance(plan, StudioError):
            raise plan
        return plan

    def _plan(self, preset: Preset) -> DownloadPlan:
        named = preset.path or self._store.state.places().get(memory_key(preset))
        target: str | None = named
        if target is None and not isinstance(preset, LoraPreset):
            target = f"models/{preset.slug}"
        expected = preset.sha256 or self._store.pins_of([preset]).get(preset.slug)
        taken = partial(self._is_taken, preset=preset)
        return self.downloads.plan_download(preset, target, expected, taken)

    def ask_soon(self, slugs: Sequence[str]) -> None:
        """Look up in the background what is not known yet; what failed, after a while again."""
        wanted = [slug for slug in slugs if self._is_due(slug)]
        with self._lock:
            new = [slug for slug in wanted if slug not in self._asking]
            self._asking.update(new)
        if new:
            threading.Thread(
                target=self._ask, args=(new,), name="studio-look-up", daemon=True
            ).start()

    def is_asking(self, slugs: Sequence[str]) -> bool:
        """Whether the answer for one of them is still to come."""
        with self._lock:
            return not self._asking.isdisjoint(slugs)

    def _is_due(self, slug: str) -> bool:
        known = self.known(slug)
        if not isinstance(known, StudioError):
            return known is None
        return time.monotonic() - self._failed_at.get(slug, 0.0) > ASK_AGAIN

    def _ask(self, slugs: Sequence[str]) -> None:
        for slug in slugs:
            try:
                self.plan_download(slug)
            except (StudioError, KeyError):
                continue  # it is kept in ``known``, which the page shows; or the preset is gone
            except Exception as error:  # noqa: BLE001  # the thread's boundary: said, not lost
                self._keep_surprise(slug, error)
            finally:
                with self._lock:
                    self._asking.discard(slug)

    def _keep_surprise(self, slug: str, error: Exception) -> None:
        logger.error("the look-up of %s failed", slug, exc_info=error)
        preset = self.catalog.models.get(slug) or self.catalog.loras.get(slug)
        if preset is None:
            return
        why = DownloadError(
            f"The look-up of {preset.label} failed unexpectedly ({type(error).__name__}).",
            "Look into the studio's log, and try again later.",
        )
        with self._lock:
            self._known[slug] = (preset, why)
            self._failed_at[slug] = time.monotonic()

    # Fetching

    def wanted(self, text: str) -> DownloadPlan:
        """The plan for a preset's slug, or for what else names weights; see ``suggest``.

        Raises:
            DownloadError, PresetsError: by their kinds.
        """
        if text in self._slugs():
            return self.plan_download(text)
        source = self.downloads.parse(text)
        presets: list[Preset] = [*self.catalog.models.values(), *self.catalog.loras.values()]
        for preset in presets:
            if self.can_fetch(preset) and self.downloads.source_of(preset) == source:
                return self.plan_download(preset.slug)
        suggestion, facts = self._suggest(text, {})
        new = suggestion.preset
        plan = self.downloads.plan_download(new, new.path, None, self._is_taken, facts)
        return plan.model_copy(update={"slug": None})

    def download(self, slug: str, cancel: threading.Event) -> Iterator[DownloadEvent]:
        """Ask for a preset's weights and fetch them; ends with Fetched or Stopped.

        Raises:
            KeyError, StudioError: as ``plan_download`` and ``fetch``.
        """
        try:
            plan = patiently(lambda: self.plan_download(slug), cancel)
        except TransferCancelled:
            yield Stopped(0)
            return
        yield from self.fetch(plan, cancel)

    def fetch(self, plan: DownloadPlan, cancel: threading.Event) -> Iterator[DownloadEvent]:
        """Carry a plan out; ends with Fetched or Stopped.

        Raises:
            StudioError: by its kind; nothing half is left in its place.
        """
        if plan.conflict is not None:
            raise WeightsError(plan.conflict, "Correct the preset before its weights are fetched.")
        try:
            for event in self.downloads.fetch(plan, cancel):
                if isinstance(event, Fetched) and plan.slug is not None:
                    self._settle(plan.slug, plan.target)
                yield event
        except PlaceTaken:
            with self._lock:  # the next look-up finds another place, or the file is gone by then
                self._known.pop(plan.slug or "", None)
            raise

    def _settle(self, slug: str, target: str) -> None:
        preset = self.preset(slug)
        if preset.path is None and isinstance(preset, LoraPreset):
            self._store.state.settle(memory_key(preset), target)
