"""Which family, and which variant of it, a file says that it was made for.

A claim never decides: ai-toolkit writes ``sd_1.5`` for whatever it was not told. It is held
against the tensors, and each one that contradicts them is said.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.inspection.claims import MAX_TEXT
from studio.inspection.families import LABELS
from studio.inspection.verdict import UNKNOWN
from studio.inspection.words import listed

_KEYS = ("modelspec.architecture", "ss_base_model_version")

_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"chroma", "chroma"),
    (r"flux[._ -]?2", "flux2"),
    (r"flux", "flux1"),
    (r"qwen", "qwen"),
    (r"z[-_ ]?image", "zimage"),
    (r"(?:sdxl|stable-diffusion-xl-v1)[-_ ]?refiner", "sdxl-refiner"),
    (r"sdxl|stable-diffusion-xl|pony|illustrious|noobai", "sdxl"),
    (r"sd[-_ ]?v?3|stable-diffusion-(?:v)?3", "sd3"),
    (r"sd[-_ ]?v?2|stable-diffusion-v2", "sd2"),
    (r"sd[-_ ]?v?1|stable-diffusion-v1", "sd15"),
    (r"lumina", "lumina2"),
    (r"wan(?![a-z])", "wan"),
    (r"hunyuan[-_ ]?video", "hunyuanvideo"),
    (r"aura[-_ ]?flow", "auraflow"),
    (r"krea[-_ ]?2", "krea2"),
    (r"anima(?![a-z])", "anima"),
    (r"mini(?![a-z])", "mini"),
)
"""``ss_base_model_version`` of kohya-ss, musubi and ai-toolkit, and ``modelspec.architecture``
(SAI model spec); the first that is found."""

_VARIANTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "flux1": ((r"schnell", "schnell"), (r"kontext", "kontext"), (r"dev|krea", "dev")),
    "flux2": (
        (r"klein.*4b|4b.*klein", "klein-4b"),
        (r"klein.*9b|9b.*klein", "klein-9b"),
        (r"dev", "dev"),
    ),
    "qwen": ((r"2[._]1", "2.1"),),
    "wan": ((r"14b", "14b"), (r"1[._]3b", "1.3b"), (r"5b", "5b")),
}
"""Architecture → what its claim also has, and the variant that this is."""

_ALIKE = {("flux1", "dev"): ("kontext",)}
"""(architecture, variant) → variants that the layers which tell it do not tell from it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one key of the metadata says; ``variant`` is None where it says none."""

    key: str
    architecture: str
    variant: str | None = None


def claimed(metadata: Mapping[str, str]) -> tuple[Claim, ...]:
    """Every claim that names a known family."""
    texts = {key: metadata.get(key, "").lower()[:MAX_TEXT] for key in _KEYS}
    found = [claim for key, text in texts.items() if (claim := _claim(key, text))]
    if metadata.get("ss_v2", "").lower() == "true":
        found.append(Claim("ss_v2", "sd2"))
    return tuple(found)


def _claim(key: str, text: str) -> Claim | None:
    family = next((name for pattern, name in _FAMILIES if re.match(pattern, text)), None)
    if family is None:
        return None
    variants = _VARIANTS.get(family, ())
    return Claim(
        key, family, next((n for pattern, n in variants if re.search(pattern, text)), None)
    )


def conflicts(
    architecture: str,
    variant: str | None,
    open_to: Sequence[str],
    metadata: Mapping[str, str],
) -> tuple[str, ...]:
    """A sentence for each claim that the tensors' verdict contradicts."""
    if architecture == UNKNOWN and not open_to:
        return ()
    sentences = []
    for claim in claimed(metadata):
        if claim.architecture == architecture:
            says, found = claim.variant, variant
            alike = says in (found, *_ALIKE.get((architecture, found or ""), ()))
            if says is None or found is None or alike:
                continue
            said, told = (f"{LABELS[architecture]} {name}" for name in (says, found))
        elif claim.architecture in open_to:
            continue
        else:
            said, told = LABELS[claim.architecture], _told(architecture, open_to)
        sentences.append(f"The file claims {said} ({claim.key}); its tensors say {told}.")
    return tuple(sentences)


def _told(architecture: str, open_to: Sequence[str]) -> str:
    if architecture != UNKNOWN:
        return LABELS[architecture]
    return listed([LABELS[name] for name in open_to], "or")


def unproven(open_to: Sequence[str], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Which of the families that the layers leave open the file claims to be."""
    return tuple(
        f"The file claims {LABELS[claim.architecture]} ({claim.key}); nothing proves it."
        for claim in claimed(metadata)
        if claim.architecture in open_to
    )
