"""Which presets the Models tab shows: filtered on the server, a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.architecture import TRAITS, Architecture
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.ui.studio.lora_picker import holds_words

PAGE = 50
"""LoRAs on one page."""
MODELS = 100
"""Most base models shown; words find the rest."""
WEIGHTS = (("All", ""), ("On disk", "present"), ("Missing", "missing"))


@dataclass(frozen=True, slots=True)
class PresetFilter:
    """What the reader asks to see; empty texts ask for everything."""

    words: str = ""
    architecture: str = ""
    theme: str = ""
    weights: str = ""
    page: int = 0


@dataclass(frozen=True, slots=True)
class PresetPage:
    """A page of what there is.

    Attributes:
        models, loras: those shown.
        model_count, lora_count: those that match.
        page: the page shown, from 0, which may be an earlier one than was asked for.
    """

    models: tuple[ModelPreset, ...]
    loras: tuple[LoraPreset, ...]
    model_count: int
    lora_count: int
    page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.lora_count // PAGE))


def find(catalog: Catalog, present: Mapping[str, bool], wanted: PresetFilter) -> PresetPage:
    """What is on disk first, else in the order of the files."""
    words = wanted.words.lower().split()
    models = [
        model
        for model in catalog.models.values()
        if _fits(model, present, wanted) and not wanted.theme and _holds(model, words)
    ]
    loras = matching(catalog, present, wanted)
    models.sort(key=lambda model: not present[model.slug])
    loras.sort(key=lambda lora: not present[lora.slug])
    page = min(max(wanted.page, 0), max(0, (len(loras) - 1) // PAGE))
    start = page * PAGE
    shown = tuple(loras[start : start + PAGE])
    return PresetPage(tuple(models[:MODELS]), shown, len(models), len(loras), page)


def matching(
    catalog: Catalog, present: Mapping[str, bool], wanted: PresetFilter
) -> list[LoraPreset]:
    """Every LoRA that is wanted, in the order of the files."""
    words = wanted.words.lower().split()
    return [
        lora
        for lora in catalog.loras.values()
        if _fits(lora, present, wanted)
        and wanted.theme in ("", lora.theme)
        and holds_words(lora, words)
    ]


def _fits(
    preset: ModelPreset | LoraPreset, present: Mapping[str, bool], wanted: PresetFilter
) -> bool:
    if wanted.architecture and preset.base_architecture.value != wanted.architecture:
        return False
    return not wanted.weights or present[preset.slug] == (wanted.weights == "present")


def _holds(model: ModelPreset, words: Sequence[str]) -> bool:
    text = f"{model.label} {model.slug} {model.notes}".lower()
    return all(word in text for word in words)


def architectures(catalog: Catalog) -> list[tuple[str, str]]:
    """(label, value) of those that have a model or a LoRA."""
    used = {model.base_architecture for model in catalog.models.values()}
    return [
        (TRAITS[family].label, family.value)
        for family in Architecture
        if family in used or catalog.loras_for(family)
    ]


def all_themes(catalog: Catalog) -> list[str]:
    """Every theme that a LoRA has, sorted."""
    return sorted({lora.theme for lora in catalog.loras.values() if lora.theme})
