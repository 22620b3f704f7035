"""How a pipeline's VAE decodes: whole or in tiles, a batch at once or one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.resident import ResidentBase
from studio.errors import EngineError


def set_decoding(pipeline: Pipeline, plan: RunPlan) -> None:
    """Set the VAE as the plan says; whatever an earlier run had set is undone.

    Raises:
        EngineError: the plan asks for tiles and this VAE has none.
    """
    vae = pipeline.vae
    tiling = plan.settings.vae_tiling
    slicing = plan.placement is not None and plan.placement.vae_slicing
    if tiling and not hasattr(vae, "enable_tiling"):
        raise EngineError(
            f"{type(vae).__name__} cannot decode in tiles.",
            "Set VAE_TILING=0, or make a smaller picture.",
        )
    if hasattr(vae, "enable_tiling"):
        vae.enable_tiling() if tiling else vae.disable_tiling()
    if hasattr(vae, "enable_slicing"):
        vae.enable_slicing() if slicing else vae.disable_slicing()


def is_tiling(pipeline: Pipeline) -> bool:
    """Whether the VAE is set to decode large pictures in tiles."""
    return bool(getattr(pipeline.vae, "use_tiling", False))


@contextmanager
def kept_dtype(base: ResidentBase) -> Iterator[None]:
    """The VAE has afterwards the dtype it had, however the block ends.

    diffusers decodes SDXL's float16 VAE in float32 and casts it back, but not after an error.
    To float32 and back is the same weight to the bit. ``base.spoiled`` is set if the way back
    fails.
    """
    before = base.pipeline.vae.dtype
    try:
        yield
    finally:
        if base.pipeline.vae.dtype != before:
            spoiled, base.spoiled = base.spoiled, "its VAE was left in another dtype"
            base.pipeline.vae.to(before)
            base.spoiled = spoiled
