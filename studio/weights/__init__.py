"""The weights on disk: found, hashed, pinned and checked again before each run."""

from studio.weights.scan import Held, Verdict
from studio.weights.store import (
    WeightStore,
    adopt,
    describe_file,
)

__all__ = [
    "Held",
    "Verdict",
    "WeightStore",
    "adopt",
    "describe_file",
]
