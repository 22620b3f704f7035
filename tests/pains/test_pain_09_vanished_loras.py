"""Users suffer: LoRAs vanish from the list, and nobody says why or where they are."""

from studio.architecture import TRAITS, Architecture
from studio.presets import Catalog, LoraPreset
from studio.ui.studio.lora_picker import CAP, choose


def lora(slug: str, architecture: Architecture) -> LoraPreset:
    return LoraPreset(
        slug=slug,
        label=slug.title(),
        base_architecture=architecture,
        path=f"{slug}.safetensors",
        trigger="none",
    )


SOME = Catalog(
    (),
    (
        *(lora(f"xl-{n}", Architecture.SDXL) for n in range(3)),
        *(lora(f"flux-{n}", Architecture.FLUX1) for n in range(2)),
        lora("sd", Architecture.SD15),
    ),
)


def test_every_lora_is_offered_or_counted_with_its_reason() -> None:
    for architecture in Architecture:
        found = choose(SOME, architecture)
        hidden = sum(number for _, number in found.hidden)
        assert len(found.shown) + hidden == len(SOME.loras)


def test_the_line_beside_the_list_names_the_families_that_are_hidden() -> None:
    said = choose(SOME, Architecture.SD15).describe()
    assert said == "1 fits · 5 hidden: made for other architectures (3 SDXL, 2 FLUX.1)"


def test_what_is_hidden_for_one_base_is_shown_for_its_own() -> None:
    for label, number in choose(SOME, Architecture.SD15).hidden:
        family = next(key for key, traits in TRAITS.items() if traits.label == label)
        assert len(choose(SOME, family).shown) == number


def test_a_long_list_says_how_many_more_there_are() -> None:
    many = Catalog((), tuple(lora(f"xl-{n}", Architecture.SDXL) for n in range(CAP + 7)))
    assert "7 more: narrow with words" in choose(many, Architecture.SDXL).describe()
