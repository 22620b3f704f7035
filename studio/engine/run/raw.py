"""A tensor's bytes, for hashes."""

from __future__ import annotations

import torch


def raw_bytes(tensor: torch.Tensor) -> bytes:
    """The tensor's bytes in row-major order, whatever its device and dtype."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
