"""Both sites behind one door: a preset or a link → a plan → the weights in their place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from studio.architecture import Architecture
from studio.architecture.diffusers_folder import INDEX
from studio.library.downloads.addresses import (
    CivitaiName,
    HubName,
    hub_name,
    parse_source,
    safe_name,
)
from studio.library.downloads.civitai import CivitAI
from studio.library.downloads.errors import Offline, SourceUnknown, TooLarge, WrongFile
from studio.library.downloads.fetching import Fetch, Shelf
from studio.library.downloads.folder import FetchFolder
from studio.library.downloads.hub import GuestKey, Hub
from studio.library.downloads.plan import DownloadEvent, DownloadKind, DownloadPlan, RemoteFile
from studio.library.downloads.transfer import Judge, SiteTransfer
from studio.presets import LoraPreset, ModelPreset, Preset
from studio.presets.model_card import Published, contradiction
from studio.settings import Settings

NamedSource = CivitaiName | HubName
Taken = Callable[[str, str | None], bool]
"""Whether a path below MODEL_BASE_PATH belongs to something else than this SHA-256."""
SiteFacts = tuple[Published, tuple[RemoteFile, ...], tuple[str, ...]]
"""What a site says: of the weights, of their files, and sentences worth saying."""
FactsOf = Callable[[str | None], SiteFacts]
"""A base's variant → what the site says."""


class BaseFacts(NamedTuple):
    """What the Hub says of a base model: its card, its ``model_index.json``, and the facts of one
    variant, for which it is not asked again and which raise WrongFile."""

    published: Published
    content: dict[str, Any]
    facts: FactsOf


class Downloads:
    """What can be fetched, and the fetching of it; safe for several threads.

    Args:
        shelf: the store, which inspects and adopts.
        pause: seconds before a broken download is tried again.
        guest: for whom the Hub is asked; None is the studio's owner.
    """

    def __init__(
        self,
        settings: Settings,
        shelf: Shelf,
        pause: float = 1.0,
        guest: GuestKey | None = None,
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._pause = pause
        self._guest = guest

    # Each call asks through a connection of its own: they are not safe to share.

    def civitai(self) -> CivitAI:
        """CivitAI's interface.

        Raises:
            Offline: nothing may be asked.
        """
        self._check_online()
        return CivitAI(self._settings)

    def _hub(self) -> Hub:
        self._check_online()
        return Hub(self._settings, self._guest)

    def _check_online(self) -> None:
        if self._settings.offline:
            raise Offline

    def parse(self, text: str) -> NamedSource:
        """What a link, an AIR or a repository names.

        Raises:
            SourceUnknown: nothing.
        """
        return parse_source(text, self._settings.civitai_url, self._settings.hf_endpoint)

    def source_of(self, preset: Preset) -> NamedSource:
        """Where a preset's weights come from.

        Raises:
            SourceUnknown: it does not say.
        """
        if isinstance(preset, LoraPreset) and preset.air is not None:
            return self.parse(preset.air)
        source = preset.source
        if source is None or source.huggingface is None:
            raise SourceUnknown(
                f"The preset of {preset.label} names no place to fetch its weights from.",
                "Put the file in its place by hand, or give the preset an air or a source.",
            )
        return HubName(source.huggingface, source.file, preset.revision)

    def plan_download(
        self,
        preset: Preset,
        target: str | None,
        expected_sha256: str | None,
        taken: Taken = lambda _place, _sha256: False,
        facts: FactsOf | None = None,
    ) -> DownloadPlan:
        """What fetching a preset's weights means; asks for metadata and nothing else.

        Args:
            target: its place below MODEL_BASE_PATH; None where the published name decides.
            expected_sha256: the preset's own or the pinned hash.
            facts: of a variant, where the site was asked a moment ago.

        Raises:
            DownloadError: by its kind.
        """
        source = self.source_of(preset)
        kind = kind_of(preset)
        variant = preset.variant if isinstance(preset, ModelPreset) else None
        published, files, notes = facts(variant) if facts else self._ask(source, kind, variant)
        architecture = preset.base_architecture
        place = target or self.place(published, architecture, taken)
        plan = DownloadPlan(
            slug=preset.slug,
            label=preset.label,
            kind=kind,
            published=published,
            files=files,
            target=place,
            expected_sha256=expected_sha256 if kind != "model" else None,
            notes=(*notes, *_scan_notes(published)),
            conflict=contradiction(published, architecture, None) if kind == "lora" else None,
        )
        self._check_size(plan)
        return plan

    def _check_size(self, plan: DownloadPlan) -> None:
        if (plan.size or 0) > self._settings.max_download:
            raise TooLarge(plan.label, plan.size or 0, self._settings.max_download)

    def look_up(self, source: NamedSource) -> SiteFacts:
        """The facts of a LoRA that no preset names yet.

        Raises:
            DownloadError: by its kind.
        """
        return self._ask(source, "lora")

    def look_up_model(self, source: HubName) -> BaseFacts | None:
        """What the Hub says of a base model; None where it is no such model.

        Raises:
            DownloadError: by its kind.
        """
        hub = self._hub()
        info = hub.info(source.repository, source.revision)
        index = hub.index(info)
        if index is None:
            return None
        published = hub.published(info, info.id, None)

        def facts(variant: str | None) -> SiteFacts:
            return published, *hub.layout(info, index, variant)

        return BaseFacts(published, index, facts)

    def place(self, published: Published, architecture: Architecture, taken: Taken) -> str:
        """``loras/<architecture>/<its published name, made safe>``, and no one else's."""
        name = published.file_name
        if published.source == "huggingface":
            name = hub_name(published.model_id, name)
        folder = f"loras/{architecture.value}"
        plain = safe_name(name, f"lora-{published.version[:12]}")
        place = f"{folder}/{plain}"
        if not taken(place, published.sha256):
            return place
        return f"{folder}/{Path(plain).stem}-{published.version[:12]}.safetensors"

    def _ask(
        self, source: NamedSource, kind: DownloadKind, variant: str | None = None
    ) -> SiteFacts:
        if isinstance(source, CivitaiName):
            if kind != "lora":
                raise SourceUnknown(
                    "Base models are fetched from Hugging Face alone.",
                    "Give the preset source: huggingface: owner/name.",
                )
            civitai = self.civitai()
            version = civitai.version(source)
            file = civitai.chosen(version, source.file_id)
            return civitai.published(version, file), (civitai.remote(version, file),), ()
        if kind == "model":
            model = self.look_up_model(source)
            if model is None:
                raise WrongFile(
                    f"{source.repository} has no {INDEX}: it is not a model in diffusers layout.",
                    "Choose a repository in diffusers layout.",
                )
            return model.facts(variant)
        hub = self._hub()
        info = hub.info(source.repository, source.revision)
        files, name = hub.files(info, source)
        return hub.published(info, name, files[0]), files, ()

    # Fetching

    def fetch(self, plan: DownloadPlan, cancel: threading.Event) -> Iterator[DownloadEvent]:
        """Carry a plan out; ends with Fetched (adopted) or Stopped (cancelled, part kept).

        Raises:
            StudioError: by its kind; nothing half is left under the target's name.
        """
        self._check_size(plan)
        published = plan.published
        if published.source == "civitai":
            civitai = self.civitai()
            transfer = self._transfer(
                civitai, lambda answer: civitai.judge(answer, published.page), cancel
            )
            return Fetch(plan, self._root, self._shelf, transfer, lambda _: None).run()
        hub = self._hub()
        transfer = self._transfer(
            hub, lambda answer: hub.judge(answer, published.model_id), cancel
        )

        def cached(file: RemoteFile) -> Path | None:
            return hub.cached(published.model_id, file.name, published.version)

        if plan.kind == "model":
            return FetchFolder(plan, self._root, self._shelf, transfer, cached).run()
        return Fetch(plan, self._root, self._shelf, transfer, cached).run()

    def _transfer(
        self, site: CivitAI | Hub, judge: Judge, cancel: threading.Event
    ) -> SiteTransfer:
        limit = self._settings.max_download
        return SiteTransfer(site.site, judge, cancel, limit, self._pause)

    @property
    def _root(self) -> Path:
        return self._settings.model_base_path


def kind_of(preset: Preset) -> DownloadKind:
    """What the weights of a preset are."""
    if isinstance(preset, LoraPreset):
        return "lora"
    return "checkpoint" if preset.single_file else "model"


def _scan_notes(published: Published) -> tuple[str, ...]:
    """Scans that found nothing are no news; others are."""
    return tuple(
        f"CivitAI's {kind} scan says {result!r}."
        for kind, result in published.scans.items()
        if result != "Success"
    )
