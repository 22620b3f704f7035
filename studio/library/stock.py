"""Presets and their weights: what there is, what can be fetched, and the fetching of it."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from studio.contract.violations import Violation, WeightsMissing
from studio.errors import (
    DownloadError,
    PlaceTaken,
    PresetsError,
    SourceUnknown,
    StudioError,
    WeightsError,
)
from studio.library.catalogue import Catalogue
from studio.library.check import Holdings
from studio.library.downloads import (
    DownloadEvent,
    DownloadPlan,
    Downloads,
    Fetched,
    HubName,
    Stopped,
)
from studio.library.downloads.downloads import SiteFacts
from studio.library.downloads.transfer import TransferCancelled, patiently
from studio.library.entries import Entry
from studio.library.files import contain
from studio.library.preset_files import LocalPresets
from studio.library.sidecars import preview
from studio.library.spelling import near, spellings
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, Preset
from studio.presets.model_card import Published
from studio.presets.origin import memory_key, origin_of
from studio.presets.parse import PresetProblem
from studio.presets.suggest import Suggestion, suggest_lora, suggest_model
from studio.settings import Settings

ASK_AGAIN = 60.0
"""Seconds after which a look-up that failed is made again, where it is still wanted."""
logger = logging.getLogger("studio.library.stock")

Known = DownloadPlan | StudioError
"""What was found out about a preset's download."""


@dataclass(frozen=True, slots=True)
class MissingWeights:
    """Weights that a run misses and would fetch; ``known`` is None until it was looked up."""

    preset: Preset
    known: Known | None


class Stock:
    """The catalog and the store behind it; safe for several threads.

    Attributes:
        catalogue: the presets, and the files of the library that none names.
    """

    def __init__(
        self,
        settings: Settings,
        store: WeightStore,
        catalog: Catalog,
        problems: tuple[PresetProblem, ...] = (),
    ) -> None:
        self.catalogue = Catalogue(settings, store, catalog, problems)
        self.local = LocalPresets(settings.local_presets)
        self.downloads = Downloads(settings, store)
        self.holdings = Holdings(settings, store, self.downloads)
        self._settings = settings
        self._store = store
        self._known: dict[str, tuple[Preset, Known]] = {}
        self._failed_at: dict[str, float] = {}
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    # Presets and files

    @property
    def catalog(self) -> Catalog:
        """What a request can name; replaced as a whole when presets or files change."""
        return self.catalogue.catalog

    @property
    def problems(self) -> tuple[PresetProblem, ...]:
        """What is wrong in the preset files."""
        return self.catalogue.problems

    def preset(self, slug: str) -> Preset:
        """By its slug.

        Raises:
            KeyError: there is none.
        """
        return self.catalog.models.get(slug) or self.catalog.loras[slug]

    def put(self, *presets: Preset) -> None:
        """Add presets to the studio's own file, or replace them; see ``LocalPresets``."""
        self.local.put(*presets)
        self.catalogue.reload()

    def remove(self, slug: str) -> None:
        """Take a preset out of the studio's own file; see ``LocalPresets``."""
        self.local.remove(slug)
        self.catalogue.reload()

    def published(self, slug: str) -> Published | None:
        """What the publisher says, where that lies beside the weights.

        Raises:
            KeyError: no preset has this slug.
        """
        return self._store.published(self._store.locate(self.preset(slug)))

    def pinned(self, slug: str) -> str | None:
        """The SHA-256 that a preset without one was first used with; None before."""
        return self._store.pins_of([self.preset(slug)]).get(slug)

    def known_hashes(self) -> dict[str, str]:
        """Slug → SHA-256 of every preset's weights that is known without a look at them."""
        presets: list[Preset] = [*self.catalog.models.values(), *self.catalog.loras.values()]
        said = {each.slug: each.sha256 for each in presets if each.sha256 is not None}
        return self._store.pins_of(presets) | said

    def preview(self, slug: str) -> bytes | None:
        """A small picture (JPEG) from beside the weights, where there is one.

        Raises:
            KeyError: no preset has this slug.
        """
        return preview(self._store.locate(self.preset(slug)))

    # New presets

    def suggest(self, text: str, changes: Mapping[str, Any]) -> Suggestion:
        """A preset for what ``text`` names: a file, an AIR, a link or a repository.

        Asks the site for metadata; nothing is fetched or written.

        Args:
            changes: field → the user's own value.

        Raises:
            PresetsError, DownloadError, WeightsError, HeaderError: by their kinds.
        """
        return self._suggest(text, changes)[0]

    def _suggest(
        self, text: str, changes: Mapping[str, Any]
    ) -> tuple[Suggestion, SiteFacts | None]:
        """The suggestion, and what the site said of a LoRA's files."""
        path = self.file_of(text)
        if path is not None:
            return self.suggest_file(path, changes), None
        source = self.downloads.parse(text)
        if isinstance(source, HubName) and source.file is None:
            index = self.downloads.model_index(source)
            if index is not None:
                published, content = index
                name = source.repository
                return suggest_model(published, content, name, self._slugs(), changes), None
        facts = self.downloads.look_up(source)
        published, files, _ = facts
        place: dict[str, Any] = {"sha256": files[0].sha256}
        if isinstance(source, HubName):
            place["source"] = {"huggingface": source.repository, "file": files[0].name}
            place["revision"] = published.version
        elif source.air is not None and source.air.is_lora:
            place["air"] = str(source.air)
        found = suggest_lora(published, None, _said(place), self._slugs(), changes)
        preset = found.preset
        if preset.path is None:
            own = self.downloads.place(published, preset.base_architecture, self._is_taken)
            preset = preset.model_copy(update={"path": own})
        return replace(found, preset=preset), facts

    def file_of(self, text: str) -> Path | None:
        """The weight file that ``text`` names: from here, or below a folder of the library, as
        ``studio weights scan`` prints it.

        Raises:
            WeightsError: only one of nearly that name is there.
        """
        if not text.lower().endswith(".safetensors"):
            return None
        paths = [Path(spelled).expanduser() for spelled in spellings(text)]
        roots = (Path(), *self._settings.library_folders)
        places = [root / path for root in roots for path in paths]
        found = next((place for place in places if place.is_file()), None)
        alike = next(filter(None, map(near, places)), None) if found is None else None
        if alike is not None:
            raise WeightsError(f"{text} is not there.", f"Did you mean {alike}?", alike)
        return found

    def suggest_file(self, path: Path, changes: Mapping[str, Any]) -> Suggestion:
        """A preset for a LoRA that lies under MODEL_BASE_PATH.

        Raises:
            PresetsError: it lies elsewhere, is no LoRA, or nothing says its architecture.
            HeaderError, WeightsError: it cannot be read.
        """
        root, whole = self._own_place(path)
        inspection = self._store.inspect(whole)
        if inspection.kind != "lora":
            raise PresetsError(
                f"{path.name} is not a LoRA but {inspection.kind}.", "Name a LoRA's file."
            )
        sha256 = self._store.sha256(whole)
        published = self._store.published(whole, sha256)
        place: dict[str, Any] = {
            "path": whole.relative_to(root).as_posix(),
            "sha256": sha256,
        }
        if published is not None and published.source == "huggingface":
            place["source"] = {"huggingface": published.model_id, "file": published.file_name}
            place["revision"] = published.version
        entry = self._entry_of(path)
        beside: dict[str, tuple[Any, str]] = {}
        if entry is not None and entry.preset is not None:
            place["slug"] = entry.slug
            whose = {each.who for each in entry.held.said}
            said = entry.preset.model_dump(mode="json", exclude_none=True)
            beside = {
                field: (said[field], who) for field, who in entry.said_by.items() if who in whose
            }
        found = suggest_lora(published, inspection, place, self._slugs(), changes, beside)
        return replace(found, is_there=True)

    def _own_place(self, path: Path) -> tuple[Path, Path]:
        """The folder of the library that ``path`` lies below, and where it lies there.

        Raises:
            PresetsError: it lies elsewhere.
            WeightsError: it is a link that leads elsewhere.
        """
        roots = [folder.resolve() for folder in self._settings.library_folders]
        for place in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100  # links, too
            for root in roots:
                if place.is_relative_to(root):
                    contain(place, (root, *roots, *self._settings.linked_folders))
                    return root, place
        raise PresetsError(
            f"{path.name} is not under MODEL_BASE_PATH ({roots[0]}).",
            "Move it there, for example into loras/, and name it there.",
        )

    def _entry_of(self, path: Path) -> Entry | None:
        holding = self.catalogue.holding_of(path)
        return None if holding is None else holding.entry

    def _slugs(self) -> set[str]:
        return self.catalog.models.keys() | self.catalog.loras.keys()

    # What can be fetched

    def can_fetch(self, preset: Preset) -> bool:
        """Whether the preset says where its weights come from."""
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

    def _is_taken(self, place: str, sha256: str | None, preset: Preset | None = None) -> bool:
        """Whether something else than a file of this hash is there, or belongs there.

        What another preset of the same origin was given is the same file.
        """
        path = self._settings.model_base_path / place
        if path.exists():
            return sha256 is None or not path.is_file() or self._store.sha256(path) != sha256
        if any(lora.path == place for lora in self.catalog.loras.values()):
            return True
        origin = origin_of(preset) if preset is not None else None
        own = preset.slug if preset is not None else None
        for key, settled in self._store.state.places().items():
            slug, _, of = key.partition(" ")
            if settled == place and slug != own and of != origin:
                return True
        with self._lock:
            planned = tuple(self._known.values())
        return any(
            isinstance(plan, DownloadPlan)
            and plan.target == place
            and other.slug != own
            and origin_of(other) != origin
            for other, plan in planned
        )

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


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without what nobody said."""
    return {name: value for name, value in entry.items() if value is not None}
