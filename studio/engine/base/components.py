"""The parts of a pipeline that LoRAs can change."""

from __future__ import annotations

from torch import nn

from studio.engine.base.folder import Pipeline

_DENOISERS = ("unet", "transformer")


def components_of(pipeline: Pipeline) -> dict[str, nn.Module]:
    """The denoiser and every text encoder, by name."""
    return {
        name: part
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module) and (name in _DENOISERS or name.startswith("text_encoder"))
    }
