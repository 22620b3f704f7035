"""One declaration a family: its names never name another one, and its rules are registered."""

import re

import pytest

from studio.architecture import TRAITS, Architecture, architecture_called, architecture_of
from studio.architecture.families import BY_NAME, FAMILIES, RULES, TEXT_RULES, family_called

SAID = {
    "SD 1.5": "sd15",
    "sd_v1": "sd15",
    "runwayml stable-diffusion-v1-5": None,
    "stable-diffusion-v1-5": "sd15",
    "SD 2.1": "sd2",
    "stable-diffusion-v2-768-v": "sd2",
    "SDXL 1.0": "sdxl",
    "sdxl_base_v1-0": "sdxl",
    "stable-diffusion-xl-v1-base/lora": "sdxl",
    "Pony": "sdxl",
    "Illustrious": "sdxl",
    "NoobAI": "sdxl",
    "stable-diffusion-xl-refiner-1.0": "sdxl-refiner",
    "stable-diffusion-xl-v1-refiner": "sdxl-refiner",
    "SD 3.5 Large": "sd3",
    "stable-diffusion-3-medium": "sd3",
    "Flux.1 D": "flux1",
    "FLUX.1-Kontext-dev": "flux1",
    "flux-1-dev/lora": "flux1",
    "Flux.2 Klein 9B": "flux2",
    "flux2_klein_4b": "flux2",
    "Chroma": "chroma",
    "Qwen": "qwen",
    "qwen-image/lora": "qwen",
    "ZImageTurbo": "zimage",
    "Z-Image-Turbo": "zimage",
    "Lumina": "lumina2",
    "Wan Video 2.2 I2V-A14B": "wan",
    "wan2.1": "wan",
    "Hunyuan Video": "hunyuanvideo",
    "AuraFlow": "auraflow",
    "Krea 2": "krea2",
    "Anima": "anima",
    "Kolors": "kolors",
    "HunyuanVideo-1.5": "hunyuanvideo15",
    "hunyuan_image_2.1": "hunyuanimage",
    "FramePack": "hunyuanvideo",
    "Motif-Video": "motif",
    "bria": "bria",
    "FIBO": "bria",
    "longcat_image": "longcat",
    "ovis_image": "ovis",
    "Cosmos-Predict2": "cosmos",
    "FLUX.3": "flux3",
    "animagine": None,
    "mini": "mini",
    "MiniMax": None,
    "mini-sd": None,
    "Other": None,
    "LTXV": None,
}
"""As sites, trainers and the SAI model spec write it → family."""


@pytest.mark.parametrize("text", SAID)
def test_one_family_at_most_is_called_so(text: str) -> None:
    calling = [family.name for family in FAMILIES if re.match(family.called, text.lower())]
    assert calling == ([SAID[text]] if SAID[text] else [])
    found = family_called(text)
    assert (found and found.name) == SAID[text]


def test_every_family_is_called_something_here() -> None:
    assert set(filter(None, SAID.values())) == set(BY_NAME)


def test_ecosystems_and_words_are_taken_to_the_letter() -> None:
    """An AIR names what was trained: a near name is none."""
    ecosystems = [name for traits in TRAITS.values() for name in traits.ecosystems]
    words = [word for traits in TRAITS.values() for word in (traits.name, *traits.words)]
    assert len(set(ecosystems)) == len(ecosystems)
    assert len(set(words)) == len(words)
    assert architecture_of("flux1") is Architecture.FLUX1
    assert architecture_of("zimageturbo") is Architecture.ZIMAGE
    for near in ("flux", "flux1d", "flux.1", "sdxl1", "SDXL", "qwen2", "zimage", "sd35", ""):
        assert architecture_of(near) is None
    assert architecture_called(" Pony ") is Architecture.SDXL
    assert architecture_called("sd3.5") is Architecture.SD3
    assert architecture_called("sd2.1") is architecture_called("sdxl 1.0") is None


def test_every_rule_is_of_declared_families() -> None:
    named = {name for rule in (*RULES, *TEXT_RULES) for name in rule.architectures}
    assert named == set(BY_NAME)
    assert len(BY_NAME) == len(FAMILIES)
    assert set(TRAITS) == set(Architecture)
    assert all(rule.prefer in (*rule.architectures, "unknown") for rule in RULES)
    variants = {name for family in FAMILIES for _, name in family.variants}
    assert {name for rule in RULES for _, name in rule.variants} <= variants
