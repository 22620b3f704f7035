"""What memory there is, and the placement that fits it."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.contract.base import in_bytes
from studio.contract.placement import Dtype, Offload, Placement

DECODED_NUMBERS = 1024
"""Numbers that decoding holds at its peak for one pixel: about four tensors of 256 channels at
full size (AutoencoderKL's last block). An estimate, from the layers' widths."""


DECODED_BYTES = 4
"""Of each: SDXL's VAE computes in float32 whatever the base's dtype is."""


LORA_SHARE = 0.1
"""Of a base's own size, what is left free beside it for LoRAs where nothing can be offloaded. A
fixed share, and not the size of the LoRAs that were chosen: with and without them a base has to
run in one dtype, or a comparison would differ in more than its LoRAs."""


_STORED = {"F32": Dtype.FLOAT32, "F16": Dtype.FLOAT16, "BF16": Dtype.BFLOAT16}
"""As safetensors headers name them; what else they name is computed in none of its own."""


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """What there is, and what was asked for.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        memory: bytes of the device; of the machine for cpu and mps.
        budget: bytes of it that resident weights may take.
        offload, vae_tiling, dtype: as set; None is automatic.
        placed: the dtype of weights that are on the device for good; None where any are loaded.
        bfloat16: whether the device computes in it; ``slow_bfloat16``: without hardware for it.
    """

    device: str
    memory: int
    budget: int
    offload: Offload | None = None
    vae_tiling: bool | None = None
    vae_slicing: bool = False
    dtype: Dtype | None = None
    bfloat16: bool = True
    slow_bfloat16: bool = False
    placed: Dtype | None = None

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Those that the device computes diffusion models in."""
        if self.placed is not None:
            return (self.placed,)
        return computed_dtypes(self.device, self.bfloat16)


def computed_dtypes(device: str, bfloat16: bool = True) -> tuple[Dtype, ...]:
    """The dtypes that a kind of device computes diffusion models in."""
    if device == "cpu":
        return (Dtype.FLOAT32, Dtype.BFLOAT16)
    return tuple(Dtype) if bfloat16 else (Dtype.FLOAT32, Dtype.FLOAT16)


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """A base's weights as its files hold them.

    Attributes:
        numbers: how many there are.
        dtype: of most of the denoiser's, as a safetensors header names it; None is not known.
        half: what its family is run in where half of float32's size is enough.
    """

    numbers: int
    dtype: str | None
    half: Dtype


def automatic_dtype(rules: MemoryRules | None, weights: StoredWeights) -> tuple[Dtype, str]:
    """What a base runs in where nobody says it, and why, as a sentence.

    A CPU computes float32 fastest, and everything in it; it goes down to bfloat16 where the
    memory is short. A GPU has the width of the files themselves, where that is a half one, and
    else the half one of the family: more would cost memory and time and show nothing.

    Args:
        rules: None where nobody could look at the device.
    """
    if rules is None:
        return Dtype.FLOAT32, "The device could not be examined, and every device computes in it."
    if rules.device == "cpu":
        return _by_memory(rules.budget, weights.numbers * Dtype.FLOAT32.size)
    own = _STORED.get(weights.dtype or "")
    if own in rules.dtypes and own is not None and own is not Dtype.FLOAT32:
        return own, f"Its weights are stored in {own}."
    if weights.half in rules.dtypes:
        stored = f"Its weights are stored in {own or weights.dtype}; on" if weights.dtype else "On"
        return weights.half, f"{stored} a GPU its family runs in {weights.half}."
    return Dtype.FLOAT32, f"Its family runs in {weights.half}, which this GPU does not compute."


def _by_memory(budget: int, whole: int) -> tuple[Dtype, str]:
    said = f"Its {_size(whole)} in float32"
    if whole * (1 + LORA_SHARE) <= budget:
        return Dtype.FLOAT32, f"{said} fit the budget of {_size(budget)}."
    if whole <= budget:
        why = f"{said} leave no room for LoRAs in the budget of {_size(budget)}."
    else:
        why = f"{said} exceed the budget of {_size(budget)}."
    return Dtype.BFLOAT16, why


def place(rules: MemoryRules, sizes: Mapping[str, int], loras: int = 0) -> Placement:
    """Where the weights of a base go.

    Args:
        sizes: component → bytes of its weights, in the dtype they run in.
        loras: bytes of its LoRAs in that dtype; wherever the base is, they are on the device.
    """
    offload, reason = _offload(rules, sizes, loras)
    return Placement(
        device=rules.device, offload=offload, reason=reason, vae_slicing=rules.vae_slicing
    )


def _offload(rules: MemoryRules, sizes: Mapping[str, int], loras: int) -> tuple[Offload, str]:
    """The sentences hold with any LoRAs and with none: where nothing else is decided, the plans
    of a base are placed alike, word for word."""
    if rules.device != "cuda":
        return Offload.NONE, "The device computes in main memory: there is nowhere to offload to."
    if rules.offload is not None:
        return rules.offload, f"OFFLOAD is set to {rules.offload}."
    whole, largest = sum(sizes.values()), max(sizes.values(), default=0)
    budget, beside = _size(rules.budget), "with the LoRAs chosen"
    said = f"Its {_size(whole)} of weights, {beside},"
    if whole + loras <= rules.budget:
        return Offload.NONE, f"{said} fit the budget of {budget}."
    part = f"its largest component, {_size(largest)}"
    if largest + loras <= rules.budget:
        return Offload.MODEL, f"{said} exceed the budget of {budget}; {part}, does not."
    return Offload.SEQUENTIAL, f"I{part[1:]}, {beside}, exceeds the budget of {budget}."


def offload_in_words(rules: MemoryRules) -> str:
    """What holds for any base, as a sentence."""
    if rules.device != "cuda":
        return "never: the device computes in main memory"
    if rules.offload is not None:
        return f"{rules.offload}, as OFFLOAD says"
    budget = _size(rules.budget)
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


def _size(amount: int) -> str:
    return in_bytes(amount, decimals=1)
