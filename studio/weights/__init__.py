"""The weights on disk: found, hashed, pinned and checked again before each run."""

from studio.weights.store import (
    WeightStore,
    adopt,
    describe_file,
)

__all__ = [
    "WeightStore",
    "adopt",
    "describe_file",
]
