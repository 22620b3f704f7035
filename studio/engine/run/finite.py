"""Numbers that are not finite make a black picture; here they make an error."""

from __future__ import annotations

import torch

from studio.errors import NotFinite


def demand_finite(numbers: torch.Tensor, what: str, way_out: str) -> None:
    """Let ``numbers`` pass unless one of them is infinite or not a number.

    Raises:
        NotFinite: naming ``what`` they are.
    """
    if not bool(torch.isfinite(numbers).all()):
        raise NotFinite(f"{what} have numbers that are not finite; no picture is kept.", way_out)
