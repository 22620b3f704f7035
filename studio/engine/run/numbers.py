"""A tensor's bytes, whether it has numbers at all, and the noise a picture begins from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from studio.engine.base.folder import Pipeline
from studio.errors import ContractBroken, NotFinite


def raw_bytes(tensor: torch.Tensor) -> bytes:
    """The tensor's bytes in row-major order, whatever its device and dtype."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def demand_finite(numbers: torch.Tensor, what: str, way_out: str) -> None:
    """Let ``numbers`` pass unless one of them is infinite or not a number, which would make a
    black picture.

    Raises:
        NotFinite: naming ``what`` they are.
    """
    if not bool(torch.isfinite(numbers).all()):
        raise NotFinite(f"{what} have numbers that are not finite; no picture is kept.", way_out)


@dataclass(slots=True)
class Noise:
    """The first latents of a call; None until the pipeline has made them."""

    latents: torch.Tensor | None = None

    def sha256(self, index: int = 0) -> str:
        """SHA-256 of the bytes of sample ``index``, in the pipeline's dtype and layout.

        Raises:
            ContractBroken: the pipeline denoised something that it did not prepare.
        """
        if self.latents is None:
            raise ContractBroken(
                "The pipeline did not say which noise it began from.",
                "Report it with the plan's fingerprint.",
            )
        return hashlib.sha256(raw_bytes(self.latents[index : index + 1])).hexdigest()


@contextmanager
def recorded_noise(pipeline: Pipeline) -> Iterator[Noise]:
    """Listen to ``prepare_latents``, which every pipeline of diffusers has; what it returns
    passes as it is, so pictures stay bit-identical.

    Some pipelines return more than the latents; those come first.
    """
    noise = Noise()
    prepare = pipeline.prepare_latents

    def prepare_latents(*given: Any, **named: Any) -> Any:
        made = prepare(*given, **named)
        first = made[0] if isinstance(made, tuple) else made
        # Schedulers may write into the latents while they step.
        noise.latents = first.detach().to("cpu", copy=True)
        return made

    pipeline.prepare_latents = prepare_latents
    try:
        yield noise
    finally:
        del pipeline.prepare_latents
