"""Users suffer: LoRAs vanish from the list, and nobody says why or where they are."""

import pytest

from studio.architecture import TRAITS, Architecture
from studio.presets import Catalog, LoraPreset
from studio.ui.browser.query import LoraQuery
from studio.ui.browser.shelf import PAGE, LoraFacts, LoraShelf


def lora(slug: str, architecture: Architecture) -> LoraPreset:
    return LoraPreset(
        slug=slug,
        label=slug.title(),
        base_architecture=architecture,
        path=f"{slug}.safetensors",
        trigger="none",
    )


LORAS = (
    *(lora(f"xl-{n}", Architecture.SDXL) for n in range(PAGE + 7)),
    *(lora(f"flux-{n}", Architecture.FLUX1) for n in range(2)),
    lora("sd", Architecture.SD15),
)
SHELF = LoraShelf(Catalog((), LORAS), ())
KNOWN = LoraFacts({}, {}, frozenset())


@pytest.mark.parametrize("architecture", Architecture)
def test_every_lora_is_on_a_page_or_counted_with_its_reason(architecture: Architecture) -> None:
    first = SHELF.find(LoraQuery(architecture=architecture), KNOWN)
    pages = [
        SHELF.find(LoraQuery(architecture=architecture, page=n), KNOWN) for n in range(first.pages)
    ]
    offered = {card.slug for found in pages for card in found.cards}
    assert len(offered) == first.count
    hidden = SHELF.hidden(architecture)
    assert len(offered) + sum(number for _, number in hidden) == len(LORAS)
    for label, number in hidden:
        family = next(key for key, traits in TRAITS.items() if traits.label == label)
        assert SHELF.find(LoraQuery(architecture=family), KNOWN).count == number


def test_what_is_looked_for_and_made_for_another_family_is_named_with_it() -> None:
    found = SHELF.find(LoraQuery(architecture=Architecture.SD15, words="flux-1"), KNOWN)
    assert found.count == 0
    assert found.unfit == (("Flux-1", "made for FLUX.1."),)
