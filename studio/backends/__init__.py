"""Where runs are executed; today on this machine, in one queue per device."""

from studio.backends.base import Backend, BackendEvent, BasePlace, ClipReader, Weights
from studio.backends.local import LocalBackend
from studio.engine import Generated

__all__ = [
    "Backend",
    "BackendEvent",
    "BasePlace",
    "ClipReader",
    "Generated",
    "LocalBackend",
    "Weights",
]
