"""Where runs are executed: in the studio itself, or by its workers (WORKERS)."""

from studio.backends.base import (
    Backend,
    BackendEvent,
    BasePlace,
    ClipReader,
    Weights,
    WorkerCondition,
    WorkerStatus,
)
from studio.backends.library import LibraryWeights
from studio.backends.local import LocalBackend
from studio.backends.opening import join, open_backend
from studio.engine import Generated

__all__ = [
    "Backend",
    "BackendEvent",
    "BasePlace",
    "ClipReader",
    "Generated",
    "LibraryWeights",
    "LocalBackend",
    "Weights",
    "WorkerCondition",
    "WorkerStatus",
    "join",
    "open_backend",
]
