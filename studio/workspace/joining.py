"""This machine as a worker of another's studio."""

import threading
from collections.abc import Callable

from studio import backends
from studio.settings import Settings


def join(
    settings: Settings,
    address: str,
    name: str,
    say: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Carry out what studios of the cluster at ``address`` send, until ``stop``.

    Args:
        name: what they call this worker.
        say: a line about how it goes.

    Raises:
        WorkerError, SettingsError: it cannot be a worker.
    """
    backends.join(settings, address, name, say, stop)
