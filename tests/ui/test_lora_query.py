"""What the LoRA browser finds, and what it says of the rest."""

from typing import Any

import pytest

from studio.architecture import Architecture
from studio.gallery import UseCount
from studio.library.catalogue import Holding
from studio.library.entries import Entry
from studio.library.reading import Facts
from studio.library.scan import Held
from studio.library.sidecars import Sidecar
from studio.presets import Catalog, LoraPreset, Source
from studio.ui.browser.query import LoraOrder, LoraQuery, LoraSubset
from studio.ui.browser.shelf import EMBEDDED, PAGE, UNFIT, LoraFacts, LoraShelf

SD15 = Architecture.SD15


def lora(slug: str, architecture: Architecture = SD15, **more: Any) -> LoraPreset:
    fields: dict[str, Any] = {
        "slug": slug,
        "label": slug.title(),
        "base_architecture": architecture,
        "path": f"loras/{slug}.safetensors",
        "trigger": "optional" if more.get("prompt") else "none",
    }
    return LoraPreset(**(fields | more))


def held(path: str, changed: int = 0, *said: Sidecar) -> Held:
    return Held("/models", path, f"/models/{path}", (1, changed, 0, "1"), Facts(), None, said)


LORAS = (
    lora("ink", prompt="phrsink, pen and ink", theme="drawing"),
    lora("samurai", path="loras/people/old/samurai.safetensors", notes="Best with armour."),
    lora("neon", path="loras/people/neon.safetensors", theme="night"),
    lora("own", path=None, source=Source(embedded="mini/loras/own.safetensors")),
    lora("samurai-xl", Architecture.SDXL, label="Samurai XL"),
    lora("away", label="Away"),
)
SAYS = Sidecar("LoRA Manager", label="Glow", notes="by Someone", tags=("style", "neon"))
HOLDINGS = (
    Holding(held("loras/people/neon.safetensors", 9, SAYS), ("neon",), None),
    Holding(held("loras/ink.safetensors", 5), ("ink",), None),
    Holding(
        held("loras/samurai.ckpt"),
        (),
        Entry("samurai-2", held("loras/samurai.ckpt"), None, {}, "A pickle can run code."),
    ),
)
SHELF = LoraShelf(Catalog((), LORAS), HOLDINGS)
KNOWN = LoraFacts(
    present={each.slug: each.slug != "away" for each in LORAS},
    uses={"neon": UseCount(3, 20), "ink": UseCount(8, 10)},
    favourites=frozenset({"samurai"}),
)


def slugs(**asked: Any) -> list[str]:
    found = SHELF.find(LoraQuery(**{"architecture": SD15, **asked}), KNOWN)
    return [card.slug for card in found.cards]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["ink", "neon", "own", "samurai", "away"]),
        ({"words": "PHRSink pen"}, ["ink"]),
        ({"words": "drawing"}, ["ink"]),
        ({"words": "armour"}, ["samurai"]),
        ({"words": "people"}, ["neon", "samurai"]),
        ({"words": "someone"}, ["neon"]),
        ({"words": "style glow"}, ["neon"]),
        ({"words": "a"}, ["samurai", "ink", "neon", "away"]),
        ({"folder": "loras/people"}, ["neon", "samurai"]),
        ({"folder": "loras/peo"}, []),
        ({"folder": EMBEDDED}, ["own"]),
        ({"theme": "night"}, ["neon"]),
        ({"tag": "style"}, ["neon"]),
        ({"only": LoraSubset.FAVOURITES}, ["samurai"]),
        ({"only": LoraSubset.USED}, ["ink", "neon"]),
        ({"only": LoraSubset.PRESENT}, ["ink", "neon", "own", "samurai"]),
        ({"only": LoraSubset.MISSING}, ["away"]),
        ({"order": LoraOrder.RECENT}, ["neon", "ink", "own", "samurai", "away"]),
        ({"order": LoraOrder.MOST}, ["ink", "neon", "own", "samurai", "away"]),
        ({"order": LoraOrder.NEW}, ["neon", "ink", "own", "samurai", "away"]),
        ({"architecture": None, "words": "samurai"}, ["samurai", "samurai-xl"]),
    ],
)
def test_words_filters_and_order(asked: dict[str, Any], found: list[str]) -> None:
    assert slugs(**asked) == found


def test_what_the_base_cannot_use_is_found_with_its_reason_and_never_offered() -> None:
    found = SHELF.find(LoraQuery(architecture=SD15, words="samurai"), KNOWN)
    assert [card.slug for card in found.cards] == ["samurai"]
    assert found.unfit == (
        ("Samurai XL", "made for SDXL."),
        ("loras/samurai.ckpt", "A pickle can run code."),
    )
    assert SHELF.find(LoraQuery(architecture=SD15), KNOWN).unfit_count == 0


def test_the_filters_offer_what_there_is() -> None:
    choices = SHELF.choices(SD15)
    assert choices.folders == (EMBEDDED, "loras", "loras/people", "loras/people/old")
    assert choices.themes == ("drawing", "night")
    assert choices.tags == ("neon", "style")
    assert SHELF.choices(Architecture.FLUX1).folders == ()


def test_every_lora_of_a_large_library_is_on_some_page() -> None:
    many = [lora(f"l{n}", prompt=f"word{n}") for n in range(10_000)]
    shelf = LoraShelf(
        Catalog((), (*many, *(lora(f"x{n}", Architecture.SDXL) for n in range(9)))), ()
    )
    nothing = LoraFacts({}, {}, frozenset())
    first = shelf.find(LoraQuery(architecture=SD15), nothing)
    assert (len(first.cards), first.count, first.pages) == (PAGE, 10_000, 209)
    last = shelf.find(LoraQuery(architecture=SD15, page=10_000), nothing)
    assert (last.page, len(last.cards)) == (208, 10_000 - 208 * PAGE)
    (card,) = shelf.find(LoraQuery(architecture=SD15, words="word9999"), nothing).cards
    assert card.slug == "l9999"
    others = shelf.find(LoraQuery(architecture=SD15, words="x"), nothing)
    assert (len(others.unfit), others.unfit_count) == (UNFIT, 9)
