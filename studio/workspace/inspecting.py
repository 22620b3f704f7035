"""Questions about weight files, for the page and the command line: by preset, path or address."""

import os
import threading
from pathlib import Path
from typing import Any

from studio.errors import WeightsError
from studio.library.downloads.remote_header import describe_remote
from studio.library.files import contain, describe_file
from studio.library.spelling import spellings
from studio.resolve.inventory import Unusable
from studio.settings import Settings
from studio.workspace.workspace import Workspace

REMOTE = ("hf:", "https://", "http://", "urn:air:")
"""How the name of a published file begins."""
REMEMBERED = 64
"""Descriptions kept in memory; each hashed a whole file."""

Description = dict[str, Any]
"""What ``studio inspect --json`` prints of one file."""


class Inspector:
    """Answers for one workspace; safe for several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, str], Description] = {}

    def of_lora(self, slug: str) -> Description | Unusable | None:
        """What a preset's file is; why it cannot be told; None where there is no file.

        Raises:
            StudioError: the studio's own state cannot be used.
            KeyError: no LoRA preset has this slug.
        """
        found = self._workspace.lora_weights(slug)
        if found is None or isinstance(found, Unusable):
            return found
        key = (found.path, found.file.sha256)
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        description = describe_file(found.path)
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = description
        return description

    def of_name(self, text: str) -> Description:
        """What a file is that somebody names: of the library, or published.

        Raises:
            StudioError: it cannot be read, is no safetensors file, or lies elsewhere.
        """
        settings = self._workspace.settings
        if text.startswith(REMOTE):
            return describe_remote(settings, text)
        return describe_file(_below(settings, text)) | {"file": text}


def _below(settings: Settings, text: str) -> Path:
    """The file of the library that ``text`` names; its links lead where the library's may."""
    folders = [folder.resolve() for folder in settings.library_folders]
    inside = []
    for root in folders:
        for spelled in spellings(text):
            path = Path(os.path.normpath(root / spelled))
            if path.is_relative_to(root) and "\0" not in text:
                inside.append(path)
    if not inside:
        raise WeightsError(
            f"{text[:80]!r} is not under MODEL_BASE_PATH.",
            "Name a file there, or choose one from your own disk.",
        )
    found = next((path for path in inside if path.is_file()), inside[0])
    contain(found, (*folders, *settings.linked_folders))
    return found
