"""How a run fits into the memory that is there: what is chosen, and why, before it runs.

Offloading moves the same numbers between main memory and the device: it costs time and changes
no pixel. Tiling decodes a large picture in overlapping pieces and blends their edges: it does
change pixels, so it is one of the plan's settings and part of its fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from studio.contract import Contract

DECODED_NUMBERS = 1024
"""Numbers that decoding holds at its peak for one pixel: about four tensors of 256 channels at
full size (AutoencoderKL's last block). An estimate, from the layers' widths."""
DECODED_BYTES = 4
"""Of each: SDXL's VAE computes in float32 whatever the base's dtype is."""


class Offload(StrEnum):
    """Where the base's weights are while they are not computed with."""

    NONE = "none"
    """On the device."""
    MODEL = "model"
    """In main memory; each component as a whole goes to the device when it is called."""
    SEQUENTIAL = "sequential"
    """In main memory; each layer goes to the device when it is called. Slow."""


class Placement(Contract):
    """How the run is placed in memory; it changes no pixel, so no fingerprint holds it.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        reason: why, in one sentence.
        vae_slicing: pictures of a batch are decoded one by one. The studio makes one at a
            time, so this makes a difference only where a pipeline batches on its own.
    """

    device: str
    offload: Offload
    reason: str
    vae_slicing: bool = False


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """What there is, and what was asked for.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        memory: bytes of the device; of the machine for cpu and mps.
        budget: bytes of it that resident weights may take.
        offload, vae_tiling: as set; None is automatic.
    """

    device: str
    memory: int
    budget: int
    offload: Offload | None = None
    vae_tiling: bool | None = None
    vae_slicing: bool = False


def place(rules: MemoryRules, sizes: Mapping[str, int]) -> Placement:
    """Where the weights of a base go.

    Args:
        sizes: component → bytes of its weights, in the dtype they run in.
    """
    offload, reason = _offload(rules, sum(sizes.values()), max(sizes.values(), default=0))
    return Placement(
        device=rules.device, offload=offload, reason=reason, vae_slicing=rules.vae_slicing
    )


def _offload(rules: MemoryRules, whole: int, largest: int) -> tuple[Offload, str]:
    if rules.device != "cuda":
        return Offload.NONE, "The device computes in main memory: there is nowhere to offload to."
    if rules.offload is not None:
        return rules.offload, f"OFFLOAD is set to {rules.offload}."
    budget = _gigabytes(rules.budget)
    if whole <= rules.budget:
        return Offload.NONE, f"Its {_gigabytes(whole)} of weights fit the budget of {budget}."
    if largest <= rules.budget:
        return Offload.MODEL, (
            f"Its {_gigabytes(whole)} of weights exceed the budget of {budget}; "
            f"its largest component, {_gigabytes(largest)}, does not."
        )
    return Offload.SEQUENTIAL, (
        f"Its largest component, {_gigabytes(largest)}, exceeds the budget of {budget}."
    )


def offload_in_words(rules: MemoryRules) -> str:
    """What holds for any base, as a sentence."""
    if rules.device != "cuda":
        return "never: the device computes in main memory"
    if rules.offload is not None:
        return f"{rules.offload}, as OFFLOAD says"
    budget = _gigabytes(rules.budget)
    return f"by a base's size: none up to {budget}, else whole components, else single layers"


def needless(rules: MemoryRules) -> bool:
    """Whether offloading was asked for where there is nowhere to offload to."""
    return rules.device != "cuda" and rules.offload not in (None, Offload.NONE)


def tiles(rules: MemoryRules, width: int, height: int) -> bool:
    """Whether the VAE decodes a picture of this size in tiles."""
    if rules.vae_tiling is not None:
        return rules.vae_tiling
    # What the weights' budget leaves is for computing.
    return width * height * DECODED_NUMBERS * DECODED_BYTES > rules.memory - rules.budget


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
