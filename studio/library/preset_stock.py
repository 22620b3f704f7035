"""Presets and the files they name: what there is, and presets for what has none."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.errors import PresetsError, StudioError, WeightsError
from studio.library.catalogue import Catalogue, Holding
from studio.library.check import Holdings
from studio.library.downloads import DownloadPlan, Downloads, HubName
from studio.library.downloads.downloads import FactsOf
from studio.library.identify import Identifying, Stepwise
from studio.library.preset_files import LocalPresets
from studio.library.previews import Previews
from studio.library.sidecars import video
from studio.library.spelling import near, spellings
from studio.library.state import State
from studio.library.store import WeightStore
from studio.library.twins import Twins, find_twins
from studio.presets import Catalog, Preset
from studio.presets.catalog import origin_of
from studio.presets.model_card import Published
from studio.presets.parse import PresetProblem
from studio.presets.suggest import Suggestion, suggest_lora, suggest_model
from studio.settings import Settings

Known = DownloadPlan | StudioError
"""What was found out about a preset's download."""


class PresetStock:
    """The catalog and the store behind it; safe for several threads.

    Attributes:
        catalogue: the presets, and the files of the library that none names.
        previews: small pictures of them.
        identifying: asks CivitAI what those files are.
        seen: the catalog as whoever asks sees it, with what is theirs alone.
    """

    def __init__(
        self,
        settings: Settings,
        store: WeightStore,
        catalog: Catalog,
        problems: tuple[PresetProblem, ...] = (),
    ) -> None:
        self.catalogue = Catalogue(settings, store, catalog, problems)
        self.previews = Previews(settings.state / "previews")
        self.local = LocalPresets(settings.local_presets)
        self.downloads = Downloads(settings, store)
        self.holdings = Holdings(settings, store)
        self.seen: Callable[[Catalog], Catalog] = lambda everybody: everybody
        self.identifying = Identifying(self.downloads, store)
        self._settings = settings
        self._store = store
        self._known: dict[str, tuple[Preset, Known]] = {}
        self._lock = threading.Lock()

    def hash(self, holding: Holding) -> str:
        """SHA-256 of a file; both its hashes are remembered.

        Raises:
            HeaderError, WeightsError: it cannot be read.
        """
        return self._store.hashes(holding.held.place).sha256

    def twins(self, cancel: threading.Event) -> Stepwise[Twins]:
        """See ``find_twins``."""
        return find_twins(self.catalogue.holdings, self._store, cancel)

    @property
    def catalog(self) -> Catalog:
        """What a request can name; replaced as a whole when presets or files change."""
        return self.seen(self.catalogue.catalog)

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

    def locate(self, slug: str) -> Path:
        """Where a preset's weights belong, there or not.

        Raises:
            KeyError: no preset has this slug.
        """
        return self._store.locate(self.preset(slug))

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
        return self._store.published(self.locate(slug))

    def pinned(self, slug: str) -> str | None:
        """The SHA-256 that a preset without one was first used with; None before."""
        return self._store.pins_of([self.preset(slug)]).get(slug)

    def known_hashes(self) -> dict[str, tuple[str | None, str | None]]:
        """Slug → SHA-256 of the file and of its tensors alone, as far as they are known without
        a look at it: what a preset says, what it was pinned to, what was hashed before."""
        presets: list[Preset] = [*self.catalog.models.values(), *self.catalog.loras.values()]
        pins, tensors = self._store.pins_of(presets), self._store.state.tensor_hashes()
        read: dict[str, tuple[str | None, str | None]] = {}
        for each in self.catalogue.holdings:
            stamp, own = tensors.get(each.held.key, (None, None))
            slugs = (*each.presets, *((each.entry.slug,) if each.entry is not None else ()))
            both = each.held.sha256, own if stamp == each.held.stamp else None
            read |= dict.fromkeys(slugs, both)
        found = {}
        for preset in presets:
            sha256, own = read.get(preset.slug, (None, None))
            said = preset.sha256 or pins.get(preset.slug) or sha256
            found[preset.slug] = (said, own if said == sha256 else None)
        return found

    @property
    def state(self) -> State:
        """What is remembered of the weights, and of what people picked out."""
        return self._store.state

    def present(self, presets: Iterable[Preset]) -> dict[str, bool]:
        """As ``WeightStore.present``."""
        return self._store.present(presets)

    def preview(self, slug: str) -> Path | None:
        """Where a small picture of it lies once it is served; None where there is none.

        Raises:
            KeyError: no preset has this slug.
        """
        return self.previews.of(slug, self.locate(slug))

    def video(self, slug: str) -> str | None:
        """The name of a video beside the weights, where that is the only preview.

        Raises:
            KeyError: no preset has this slug.
        """
        return video(self.locate(slug))

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

    def _suggest(self, text: str, changes: Mapping[str, Any]) -> tuple[Suggestion, FactsOf | None]:
        """The suggestion, and what the site said of the files, unless they are here."""
        path = self.file_of(text)
        if path is not None:
            return self.suggest_file(path, changes), None
        source = self.downloads.parse(text)
        if isinstance(source, HubName) and source.file is None:
            model = self.downloads.look_up_model(source)
            if model is not None:
                name, taken = source.repository, self._slugs()
                found = suggest_model(model.published, model.content, name, taken, changes)
                return found, model.facts
        facts = self.downloads.look_up(source)
        published, files, _ = facts
        place: dict[str, Any] = {"sha256": files[0].sha256}
        if isinstance(source, HubName):
            place["source"] = {"huggingface": source.repository, "file": files[0].name}
            place["revision"] = published.version
        elif source.air is not None and source.air.is_lora:
            place["air"] = str(source.air)
        said = {name: value for name, value in place.items() if value is not None}
        found = suggest_lora(published, None, said, self._slugs(), changes)
        preset = found.preset
        if preset.path is None:
            own = self.downloads.place(published, preset.base_architecture, self._is_taken)
            preset = preset.model_copy(update={"path": own})
        return replace(found, preset=preset), lambda _variant: facts

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
        broken = next((place for place in places if place.is_symlink()), None)
        if found is None and broken is not None:
            raise WeightsError(
                f"{text} is a link to nothing.", "Mend the link, or remove it.", broken
            )
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
        root, whole = self._store.own_place(path)
        inspection = self._store.inspect(whole)
        if inspection.kind != "lora":
            raise PresetsError(
                f"{path.name} is not a LoRA but {inspection.kind}.", "Name a LoRA's file."
            )
        sha256 = self._store.sha256(whole)
        published = self._store.published(whole, sha256)
        place: dict[str, Any] = {"path": whole.relative_to(root).as_posix(), "sha256": sha256}
        if published is not None and published.source == "huggingface":
            place["source"] = {"huggingface": published.model_id, "file": published.file_name}
            place["revision"] = published.version
        holding = self.catalogue.holding_of(path)
        entry = None if holding is None else holding.entry
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

    def _slugs(self) -> set[str]:
        return self.catalog.models.keys() | self.catalog.loras.keys()

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
