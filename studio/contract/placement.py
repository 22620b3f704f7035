"""How a base is held in memory: its dtype, its offload, how the VAE decodes."""

from enum import StrEnum

from studio.contract.base import Contract


class Dtype(StrEnum):
    """What the base's weights are computed in."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return 4 if self is Dtype.FLOAT32 else 2


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
