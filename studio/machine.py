"""What this process may use of the machine: the container's limits where it runs in one."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from studio.errors import SettingsError

ROOT = Path("/")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}
"""Kubernetes' units, in which a Space says its memory."""


def main_memory(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> int:
    """Bytes of main memory: the machine's, or what the container gives of it.

    Raises:
        SettingsError: a Space says its MEMORY in another way.
    """
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    sizes += [int(said) for said in _said(root, "memory", "memory.max") if said.isdecimal()]
    sizes += [
        int(said) for said in _said(root, "memory", "memory.limit_in_bytes") if said.isdecimal()
    ]
    if environ.get("SPACE_ID") and "MEMORY" in environ:
        sizes.append(_quantity(environ["MEMORY"]))
    return min(sizes)


def cores(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> int:
    """Processor cores: those the process may run on, or the container's share of them, at least
    one.

    Raises:
        SettingsError: a Space says its CPU_CORES in another way.
    """
    amounts = [float(_runnable())]
    for said in _said(root, "cpu", "cpu.max"):
        quota, _, period = said.partition(" ")
        if quota.isdecimal() and period.isdecimal():
            amounts.append(int(quota) / int(period))
    quotas, periods = (
        [int(said) for said in _said(root, "cpu", f"cpu.cfs_{name}_us") if said.isdecimal()]
        for name in ("quota", "period")
    )
    amounts += [quota / period for quota, period in zip(quotas, periods, strict=False)]
    if environ.get("SPACE_ID") and "CPU_CORES" in environ:
        amounts.append(_number(environ["CPU_CORES"]))
    return max(int(min(amounts)), 1)


def _runnable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _said(root: Path, controller: str, name: str) -> Iterator[str]:
    """What the control groups of this process say, from its own to the outermost; in a container
    the outermost it sees is its own."""
    for mount, group in _groups(root, controller):
        for folder in (group, *group.parents):
            if ".." in folder.parts:
                continue  # outside of what a container sees
            place = mount / folder.relative_to("/") / name
            try:
                yield place.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                continue  # no such controller here


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, Path]]:
    """Where the hierarchies that have ``controller`` are mounted, and this process's place."""
    mounts = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # no Linux
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield mounts, Path(group)
        elif controller in controllers.split(","):
            yield mounts / controller, Path(group)


def _quantity(said: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i|[kMG])?", said.strip())
    if found is None:
        raise SettingsError(
            f"MEMORY is {said!r}.", "Set it to an amount such as 16Gi, or unset it."
        )
    return int(float(found[1]) * _UNITS.get(found[2] or "", 1))


def _number(said: str) -> float:
    try:
        amount = float(said)
    except ValueError as error:
        raise SettingsError(
            f"CPU_CORES is {said!r}.", "Set it to a number of cores, or unset it."
        ) from error
    if not amount > 0:
        raise SettingsError(f"CPU_CORES is {said!r}.", "Set it to a positive number, or unset it.")
    return amount
