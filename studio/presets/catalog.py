"""All presets together; and where one says its weights come from. Pure."""

import re
from collections.abc import Mapping

from studio.architecture import Architecture
from studio.presets.schema import LoraPreset, ModelPreset, Preset, TriggerRule


class Catalog:
    """Every preset by slug, with the look-ups a request needs.

    Immutable after construction; building it is linear in the number of presets. Models and
    LoRAs share one namespace of slugs; what reads preset files reports repeated ones.

    Attributes:
        local: slugs of the studio's own file, the only entries that it edits.
        overrides: local slug → where the entry stands that it takes the place of.
        derived: slugs that no preset has, of files of the library → field → who said it.

    Raises:
        ValueError: when two presets have one slug.
    """

    def __init__(
        self,
        models: tuple[ModelPreset, ...],
        loras: tuple[LoraPreset, ...],
        local: frozenset[str] = frozenset(),
        overrides: Mapping[str, str] | None = None,
        derived: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.local = local
        self.overrides: Mapping[str, str] = overrides or {}
        self.derived: Mapping[str, Mapping[str, str]] = derived or {}
        self.models = {model.slug: model for model in models}
        self.loras = {lora.slug: lora for lora in loras}
        if len(self.models.keys() | self.loras.keys()) != len(models) + len(loras):
            raise ValueError("two presets have the same slug")
        by_architecture: dict[Architecture, list[LoraPreset]] = {a: [] for a in Architecture}
        for lora in loras:
            by_architecture[lora.base_architecture].append(lora)
        self._fitting = {key: tuple(value) for key, value in by_architecture.items()}
        self._phrases = {key: _phrase_index(value) for key, value in self._fitting.items()}

    def loras_for(self, architecture: Architecture) -> tuple[LoraPreset, ...]:
        """The LoRAs made for ``architecture``, in file order."""
        return self._fitting[architecture]

    def required_phrases(self, architecture: Architecture) -> dict[str, dict[str, str]]:
        """Required trigger phrases (lower case) by their first word → {phrase: slug}."""
        return self._phrases[architecture]


def first_word(phrase: str) -> str:
    """The leading run of word characters, lower case; the phrase itself if it has none."""
    match = re.search(r"\w+", phrase)
    return (match.group() if match else phrase).lower()


def _phrase_index(loras: tuple[LoraPreset, ...]) -> dict[str, dict[str, str]]:
    index: dict[str, dict[str, str]] = {}
    for lora in loras:
        if lora.trigger is TriggerRule.REQUIRED:
            for phrase in lora.trigger_phrases:
                index.setdefault(first_word(phrase), {}).setdefault(phrase.lower(), lora.slug)
    return index


def origin_of(preset: Preset) -> str:
    """The AIR, or the repository with file and revision; empty where no site is named.

    What is remembered of a preset's weights (their place, their pin) is kept under its slug
    and this text: the same slug with another origin means other weights.
    """
    if isinstance(preset, LoraPreset) and preset.air is not None:
        return preset.air
    if preset.source is None or preset.source.huggingface is None:
        return ""
    revision = f"@{preset.revision}" if preset.revision is not None else ""
    return f"{preset.source.describe()}{revision}"


def memory_key(preset: Preset) -> str:
    """Slug and origin, with a blank between them that no slug has."""
    return f"{preset.slug} {origin_of(preset)}".strip()


def replaced(preset: Preset, sha256: str) -> str | None:
    """What the weights of that hash are called that ``preset`` had before; None if it has them, or
    pins none."""
    if preset.sha256 in (None, sha256):
        return None
    names = {hash_: name for name, hash_ in preset.earlier.items()}
    return names.get(sha256, f"other weights of {preset.label} ({sha256[:12]}…)")
