"""A LoRA from the Hub for a visitor: by the studio's downloader, with no key of its owner."""

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio.contract.base import in_bytes
from studio.contract.limits import VisitorLimits
from studio.errors import LoraNotTaken, StudioError
from studio.library.downloads import DownloadEvent, DownloadPlan, Downloads, Fetched, HubName
from studio.library.downloads.addresses import hub_name, safe_name
from studio.library.downloads.errors import Gated, KeyMissing, KeyRefused
from studio.library.downloads.hub import GuestKey
from studio.library.downloads.transfer import TransferCancelled, patiently
from studio.library.store import WeightStore
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class FetchedLora:
    """``origin``: the fields of a preset that say where it is from."""

    path: Path
    origin: Mapping[str, Any]


def demand_size(limits: VisitorLimits, size: int | None, name: str) -> None:
    """
    Raises:
        LoraNotTaken: it is too large, or nobody says how large it is.
    """
    if size is None or size > limits.lora:
        raise LoraNotTaken(
            f"{name} has {in_bytes(size)}; a LoRA that a visitor brings may have "
            f"{in_bytes(limits.lora)} (VISITOR_LORA_MB).",
            "Choose a smaller one.",
            "lora_too_large",
        )


def hub_source(settings: Settings, store: WeightStore, text: str) -> HubName:
    """What a visitor names.

    Raises:
        SourceUnknown: nothing; LoraNotTaken: it is on another site.
    """
    source = Downloads(settings, store).parse(text)
    if not isinstance(source, HubName):
        raise LoraNotTaken(
            "Visitors bring LoRAs from Hugging Face alone.",
            "Name one as hf:owner/name/file.safetensors, or upload it.",
        )
    return source


def fetch_for_visitor(
    settings: Settings,
    store: WeightStore,
    folder: Path,
    source: HubName,
    token: str | None,
    cancel: threading.Event,
) -> Generator[DownloadEvent, None, FetchedLora | None]:
    """Fetch a file into ``folder``; returns None where it was cancelled.

    Args:
        token: the visitor's own, shown to the Hub once that refused the file without it.

    Raises:
        LoraNotTaken, DownloadError, WeightsError: by their kinds.
    """
    try:
        return (yield from _fetched(settings, store, folder, source, None, cancel))
    except (Gated, KeyMissing) as refused:
        if not token:
            raise _kept_back(source, refused) from None
    try:
        return (yield from _fetched(settings, store, folder, source, token, cancel))
    except (Gated, KeyMissing, KeyRefused) as refused:
        raise _kept_back(source, refused) from None


def _fetched(
    settings: Settings,
    store: WeightStore,
    folder: Path,
    source: HubName,
    token: str | None,
    cancel: threading.Event,
) -> Generator[DownloadEvent, None, FetchedLora | None]:
    limits = settings.visitors
    theirs = replace(settings, model_base_path=folder, max_download=limits.lora, hf_token=None)
    downloads = Downloads(theirs, store, guest=GuestKey(token))
    try:
        facts = patiently(lambda: downloads.look_up(source), cancel)
    except TransferCancelled:
        return None
    published, files, notes = facts
    (file,) = files
    demand_size(limits, file.size, file.name)
    target = safe_name(hub_name(source.repository, file.name), "lora")
    plan = DownloadPlan(
        slug=None,
        label=target,
        kind="lora",
        published=published,
        files=files,
        target=target,
        notes=notes,
    )
    path = None
    for event in downloads.fetch(plan, cancel):
        path = event.path if isinstance(event, Fetched) else None
        yield event
    if path is None:
        return None
    origin = {"huggingface": source.repository, "file": file.name}
    return FetchedLora(path, {"source": origin, "revision": published.version})


def _kept_back(source: HubName, refused: StudioError) -> LoraNotTaken:
    """In words for a visitor, who has no .env."""
    return LoraNotTaken(
        f"Hugging Face gives {source.repository} only to accounts that may have it.",
        "Accept its terms on its page, and give a token of your account that may read it.",
        refused.code,
    )
