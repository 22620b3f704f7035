"""The register of model families: what each declares, and in which order its layers are told.

A family is one declaration in a module of this package and one entry in ``FAMILIES``; its
fingerprints go into ``RULES``.
"""

import re

from studio.architecture.families import (
    flux1,
    flux2,
    qwen,
    recognised,
    sd3,
    stable_diffusion,
    two_streams,
    zimage,
)
from studio.architecture.family import Family, Traits
from studio.architecture.fingerprint import FingerprintRule
from studio.architecture.names import Architecture
from studio.architecture.pipelines import PipelineTraits

FAMILIES: tuple[Family, ...] = (
    stable_diffusion.MINI,
    stable_diffusion.SD15,
    stable_diffusion.SDXL,
    flux1.FLUX1,
    flux2.FLUX2,
    qwen.QWEN,
    zimage.ZIMAGE,
    sd3.SD3,
    stable_diffusion.SD2,
    stable_diffusion.REFINER,
    stable_diffusion.KOLORS,
    flux1.CHROMA,
    *recognised.FAMILIES,
)
RULES: tuple[FingerprintRule, ...] = (
    *stable_diffusion.LOOKALIKES,
    *recognised.LOOKALIKES,
    *stable_diffusion.RULES,
    *flux2.RULES,
    *qwen.RULES,
    *flux1.RULES,
    *two_streams.BFL_ATTENTION,
    *sd3.RULES,
    *two_streams.ATTENTION,
    *zimage.RULES,
    *recognised.ONE_STREAM,
)
"""The first that holds wins: what only one family has comes before what several share."""
TEXT_RULES: tuple[FingerprintRule, ...] = (
    *stable_diffusion.LOOKALIKES,
    *recognised.LOOKALIKES,
    *stable_diffusion.TEXT_RULES,
)
"""For files that change no denoiser."""

TRAITS: dict[Architecture, Traits] = {
    family.architecture: family for family in FAMILIES if isinstance(family, Traits)
}
PIPELINES: dict[str, PipelineTraits] = {
    pipeline.name: pipeline for traits in TRAITS.values() for pipeline in traits.pipelines
}
"""Every diffusers class that the studio knows, by name."""
BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}
LABELS: dict[str, str] = {family.name: family.label for family in FAMILIES}


def traits_of(architecture: Architecture) -> Traits:
    return TRAITS[architecture]


def pipeline_traits(name: str) -> PipelineTraits:
    """The traits of a diffusers class, as ``plan.base.pipeline`` and presets name it.

    Raises:
        KeyError: the studio does not know the class; no preset passes with such a one.
    """
    return PIPELINES[name]


def family_called(text: str) -> Family | None:
    """The family that a publisher's or trainer's name of it begins with: "Flux.2 Klein 9B"."""
    lower = text.strip().lower()
    return next((family for family in FAMILIES if re.match(family.called, lower)), None)


def architecture_called(word: str) -> Architecture | None:
    """The architecture that another tool's preset calls ``word``, to the letter."""
    lower = word.strip().lower()
    return next((a for a, traits in TRAITS.items() if lower in (a.value, *traits.words)), None)


def architecture_of(ecosystem: str) -> Architecture | None:
    """The architecture whose LoRAs an AIR ecosystem holds, to the letter."""
    return next((a for a, traits in TRAITS.items() if ecosystem in traits.ecosystems), None)
