"""A tensor's numbers: their bytes, for hashes, and whether they are numbers at all."""

from __future__ import annotations

import torch

from studio.errors import NotFinite


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
