"""Where runs are executed: on this machine in one queue, or where the environment says."""

from studio.backends.base import Backend, BackendEvent, BasePlace, ClipReader, Weights
from studio.backends.local import LocalBackend
from studio.engine import Generated
from studio.settings import Settings

__all__ = [
    "Backend",
    "BackendEvent",
    "BasePlace",
    "ClipReader",
    "Generated",
    "LocalBackend",
    "Weights",
    "open_backend",
]


def open_backend(settings: Settings, weights: Weights) -> Backend:
    """The one that the settings ask for."""
    if settings.zero_gpu:
        from studio.backends.zero import ZeroBackend

        return ZeroBackend.open(settings, weights)
    return LocalBackend.open(settings, weights)
