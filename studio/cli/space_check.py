"""Whether a checkout of the studio can run as a Hugging Face Space, by what its files say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from studio.presets import Catalog
from studio.settings import Settings

PYTHONS = {"3.10", "3.12"}
"""Those of ZeroGPU, by Hugging Face's documentation of November 2026."""
TORCH = (2, 8), (2, 12)
"""ZeroGPU runs torch from the first up to before the second, by the same."""
LONGEST_DESCRIPTION = 60


class SpaceKind(StrEnum):
    """What a Space runs on."""

    ZERO = "zero"
    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class SpaceFault:
    """What keeps a checkout from running as a Space, and the way out."""

    found: str
    way_out: str


def faults(
    kind: SpaceKind, root: Path, settings: Settings, catalog: Catalog
) -> Iterator[SpaceFault]:
    """Everything that is wrong with the checkout at ``root`` and with the settings.

    Args:
        settings: as the Space's variables give them.
    """
    said = read_front_matter(root)
    if said is None:
        yield SpaceFault(
            "README.md begins with no front matter.",
            "Take the lines between --- from the studio's.",
        )
    else:
        yield from _front_matter(kind, root, said)
        yield from _models(kind, said, settings, catalog)
    yield from _requirements(kind, root)
    yield from _settings(kind, settings, catalog)


def _front_matter(kind: SpaceKind, root: Path, said: Mapping[str, Any]) -> Iterator[SpaceFault]:
    if said.get("sdk") != "gradio":
        yield SpaceFault("The Space's sdk is not gradio.", "Write `sdk: gradio` into README.md.")
    if not (root / str(said.get("app_file", ""))).is_file():
        yield SpaceFault("app_file names no file.", "Write `app_file: app.py` into README.md.")
    python = str(said.get("python_version", ""))
    if kind is SpaceKind.ZERO and ".".join(python.split(".")[:2]) not in PYTHONS:
        yield SpaceFault(
            f"ZeroGPU does not run Python {python or '(none is named)'}.",
            'Write `python_version: "3.12"` into README.md.',
        )
    description = str(said.get("short_description", ""))
    if len(description) > LONGEST_DESCRIPTION:
        yield SpaceFault(
            f"short_description has {len(description)} characters.",
            f"Shorten it to {LONGEST_DESCRIPTION}: longer ones were refused.",
        )


def _models(
    kind: SpaceKind, said: Mapping[str, Any], settings: Settings, catalog: Catalog
) -> Iterator[SpaceFault]:
    """The models that the Space's page links to."""
    named = said.get("models") or []
    for slug in settings.gpu_bases if kind is SpaceKind.ZERO else ():
        model = catalog.models.get(slug)
        repository = model.source.huggingface if model and model.source else None
        if repository is not None and repository not in named:
            yield SpaceFault(
                f"README.md does not name {repository}, which GPU_BASES uses.",
                "Add it to `models:` there.",
            )


def read_front_matter(root: Path) -> Mapping[str, Any] | None:
    """What README.md says to Hugging Face; None where it says nothing."""
    try:
        start, head, _ = (root / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        said = yaml.safe_load(head)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return said if not start and isinstance(said, dict) else None


def _requirements(kind: SpaceKind, root: Path) -> Iterator[SpaceFault]:
    if not (root / "requirements.txt").is_file():
        yield SpaceFault("There is no requirements.txt.", "Take the studio's.")
    if kind is not SpaceKind.ZERO:
        return
    least, below = TORCH
    first = root / "pre-requirements.txt"
    lines = first.read_text(encoding="utf-8") if first.is_file() else ""
    found = re.search(r"(?m)^torch\b[^#\n]*<(\d+)\.(\d+)", lines)
    if found is None or not least < (int(found[1]), int(found[2])) <= below:
        wanted = f"torch>={least[0]}.{least[1]},<{below[0]}.{below[1]}"
        yield SpaceFault(
            "pre-requirements.txt does not keep torch to what ZeroGPU runs.",
            f"Write {wanted} into it: what it installs, requirements.txt leaves as it is.",
        )


def _settings(kind: SpaceKind, settings: Settings, catalog: Catalog) -> Iterator[SpaceFault]:
    if settings.auto_download:
        yield SpaceFault(
            "AUTO_DOWNLOAD is 1: visitors' runs fetch what they like onto the Space's disk.",
            "Unset it, and bring the weights another way.",
        )
    if settings.public is False:
        yield SpaceFault(
            "PUBLIC is 0: every visitor may delete pictures and write presets.", "Unset it."
        )
    if kind is SpaceKind.ZERO and not settings.gpu_bases:
        yield SpaceFault(
            "GPU_BASES is not set: nothing would run on the GPU.",
            "Set it to the slug of a base, or to several.",
        )
    for slug in settings.gpu_bases if kind is SpaceKind.ZERO else ():
        if slug not in catalog.models:
            yield SpaceFault(
                f"GPU_BASES names {slug!r}, which no preset is called.",
                f"Name one of {', '.join(catalog.models)}.",
            )
    if kind is not SpaceKind.ZERO and settings.gpu_bases:
        yield SpaceFault("GPU_BASES says nothing here.", "Unset it: it is for ZeroGPU.")
    if not settings.outputs.is_relative_to(Path.cwd()) and settings.index is None:
        yield SpaceFault(
            "OUTPUTS is elsewhere, as on a mounted bucket, and the index would lie there too.",
            "Set INDEX_DIR to a folder on the Space's own disk, such as /tmp/studio.",
        )
