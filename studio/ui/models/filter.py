"""Which presets the Models tab shows: filtered on the server, a page of LoRAs at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.architecture import TRAITS, Architecture
from studio.presets import Catalog, LoraPreset, ModelPreset, Preset
from studio.ui.browser.query import LoraQuery, LoraSubset
from studio.ui.browser.shelf import LoraFacts, LoraShelf, holds

MODELS = 100
"""Most base models shown; words find the rest."""
WEIGHTS = (
    ("All", ""),
    ("On disk", LoraSubset.PRESENT.value),
    ("Missing", LoraSubset.MISSING.value),
)


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
    pages: int


def find(
    catalog: Catalog, shelf: LoraShelf, present: Mapping[str, bool], wanted: PresetFilter
) -> PresetPage:
    """What is on disk first: bases in the order of the files, LoRAs by name."""
    words = wanted.words.casefold().split()
    models = [
        model
        for model in catalog.models.values()
        if _fits(model, present, wanted) and not wanted.theme and _holds(model, words)
    ]
    models.sort(key=lambda model: not present[model.slug])
    loras = shelf.find(_query(wanted), _facts(present))
    return PresetPage(
        tuple(models[:MODELS]),
        tuple(card.preset for card in loras.cards),
        len(models),
        loras.count,
        loras.page,
        loras.pages,
    )


def matching(
    shelf: LoraShelf, present: Mapping[str, bool], wanted: PresetFilter
) -> list[LoraPreset]:
    """The LoRAs of every page that ``find`` has for the same question."""
    return [card.preset for card in shelf.all_found(_query(wanted), _facts(present))]


def _query(wanted: PresetFilter) -> LoraQuery:
    return LoraQuery(
        architecture=Architecture(wanted.architecture) if wanted.architecture else None,
        words=wanted.words,
        theme=wanted.theme,
        only=LoraSubset(wanted.weights),
        page=max(wanted.page, 0),
    )


def _facts(present: Mapping[str, bool]) -> LoraFacts:
    return LoraFacts(present, {}, frozenset())


def _fits(preset: Preset, present: Mapping[str, bool], wanted: PresetFilter) -> bool:
    if wanted.architecture and preset.base_architecture.value != wanted.architecture:
        return False
    return not wanted.weights or present[preset.slug] == (wanted.weights == LoraSubset.PRESENT)


def _holds(model: ModelPreset, words: Sequence[str]) -> bool:
    text = f"{model.label} {model.slug} {model.notes}".casefold()
    return holds(text, words)


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
