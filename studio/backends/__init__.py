"""Where runs are executed; today on this machine, in one queue per device."""

from studio.backends.local import LocalBackend
from studio.backends.worker import BackendEvent, Verify

__all__ = ["BackendEvent", "LocalBackend", "Verify"]
