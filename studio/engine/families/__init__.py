"""What differs between architectures inside the engine: one module per family.

Everything else in ``engine`` (the gate, the switch, the run, the receipt) is the same for all
of them and asks a ``EngineFamily``. A new architecture is one more module and one more line here.
"""

from __future__ import annotations

from studio.architecture import Architecture, traits_of
from studio.engine.families.family import Encoded, EngineFamily
from studio.engine.families.flux1 import Flux1
from studio.engine.families.flux2 import Flux2
from studio.engine.families.qwen import QwenImage
from studio.engine.families.sd3 import StableDiffusion3
from studio.engine.families.sdxl import StableDiffusionXL
from studio.engine.families.stable_diffusion import StableDiffusion
from studio.engine.families.zimage import ZImage
from studio.errors import UnsupportedArchitecture

__all__ = ["FAMILIES", "Encoded", "EngineFamily", "family_of"]

FAMILIES: dict[Architecture, EngineFamily] = {
    Architecture.MINI: StableDiffusion(),
    Architecture.SD15: StableDiffusion(),
    Architecture.SDXL: StableDiffusionXL(),
    Architecture.FLUX1: Flux1(),
    Architecture.FLUX2: Flux2(),
    Architecture.QWEN: QwenImage(),
    Architecture.ZIMAGE: ZImage(),
    Architecture.SD3: StableDiffusion3(),
}


def family_of(architecture: Architecture) -> EngineFamily:
    """The family that runs ``architecture``.

    Raises:
        UnsupportedArchitecture: this release has none for it.
    """
    family = FAMILIES.get(architecture)
    if family is None:
        raise UnsupportedArchitecture(
            f"This release cannot run {traits_of(architecture).label} models.",
            f"Choose a base of {' or '.join(traits_of(known).label for known in FAMILIES)}.",
        )
    return family
