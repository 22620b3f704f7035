"""The backend that the settings ask for."""

import importlib.util
import threading
from collections.abc import Callable, Sequence

from studio.backends.base import Backend
from studio.backends.cluster.node import before_ray
from studio.backends.library import LibraryWeights
from studio.backends.local import LocalBackend
from studio.engine.hardware import is_surely_cpu
from studio.errors import SettingsError
from studio.settings import Settings


def open_backend(settings: Settings, weights: LibraryWeights) -> Backend:
    """The studio's own device, or the workers of WORKERS; Ray is imported for those alone.

    Raises:
        SettingsError: WORKERS cannot be had as it is set, or Ray is not installed.
    """
    if settings.zero_gpu:
        from studio.backends.zero import ZeroBackend

        return ZeroBackend.open(settings, weights)
    if settings.workers is None:
        return LocalBackend.open(settings, weights)
    _refuse_sharing(settings.workers.devices)
    _demand_ray()
    before_ray(local=settings.workers.address is None)
    from studio.backends.cluster.backend import ClusterBackend

    return ClusterBackend.open(settings, settings.workers, weights)


def _refuse_sharing(devices: Sequence[str]) -> None:
    shared = [each for each in devices if ":" not in each and not is_surely_cpu(each)]
    if len(shared) > 1:
        raise SettingsError(
            f"WORKERS is {len(shared)} and DEVICE {shared[0]!r}: they would share one GPU.",
            "Name each GPU once, as WORKERS=cuda:0,cuda:1, or set DEVICE=cpu: two workers on one "
            "GPU hold every base twice in its memory and wait for each other.",
        )


def join(
    settings: Settings,
    address: str,
    name: str,
    say: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """As ``cluster.joining.stay``.

    Raises:
        SettingsError: Ray is not installed.
    """
    _demand_ray()
    before_ray(local=False)
    from studio.backends.cluster.joining import stay

    stay(settings, address, name, say, stop)


def _demand_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(
            "Workers need Ray, which is not installed.",
            "Run pip install 'lora-studio[scale]', or set WORKERS=none.",
        )
