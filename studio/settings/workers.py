"""What runs plans instead of the studio itself, as WORKERS names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from studio.errors import SettingsError

MOST_WORKERS = 64
_DEVICE = re.compile(r"cpu|cuda:\d{1,3}")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\]):\d{1,5}")


@dataclass(frozen=True, slots=True)
class Workers:
    """What runs plans instead of the studio itself: workers on this machine, or in a cluster.

    Attributes:
        devices: of each local worker, as DEVICE names them.
        address: of the cluster, ``host:port``; None for local workers.
    """

    devices: tuple[str, ...] = ()
    address: str | None = None


def read_workers(values: Mapping[str, str]) -> Workers | None:
    """A number, devices or an address; the GPUs that are named are named once.

    Raises:
        SettingsError: WORKERS is none of them.
    """
    raw = values.get("WORKERS", "none").strip()
    if raw.lower() in ("none", "0"):
        return None
    if raw.isdecimal() and int(raw) <= MOST_WORKERS:
        return Workers(devices=(values.get("DEVICE", "auto"),) * int(raw))
    named = tuple(part.strip().lower() for part in raw.split(","))
    if all(_DEVICE.fullmatch(device) for device in named):
        twice = sorted({each for each in named if each != "cpu" and named.count(each) > 1})
        if twice:
            raise SettingsError(
                f"WORKERS names {twice[0]} more than once.",
                "Name each GPU once: two workers on one would hold every base twice in its memory "
                "and wait for each other.",
            )
        return Workers(devices=named)
    if raw.startswith("ray://"):
        raise SettingsError(
            f"WORKERS is {raw!r}, the port of Ray's client, which the studio does not use.",
            "Set it to the cluster's own address, as host:6379.",
        )
    if _ADDRESS.fullmatch(raw):
        return Workers(address=raw)
    raise SettingsError(
        f"WORKERS is {raw!r}.",
        f"Set it to none, a number up to {MOST_WORKERS}, devices such as cuda:0,cuda:1, or a Ray "
        "cluster's address, host:port.",
    )
