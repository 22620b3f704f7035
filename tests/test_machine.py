"""What a container gives a process, by the files and variables that say so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio import machine
from studio.errors import SettingsError
from studio.machine import cores, main_memory

HOST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
SPACE = {"SPACE_ID": "somebody/studio"}


@pytest.fixture(autouse=True)
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_runnable", lambda: 64)


def container(root: Path, group: str, files: dict[str, str]) -> Path:
    """A root whose process is in ``group`` (a line of /proc/self/cgroup)."""
    for name, said in {"proc/self/cgroup": group, **files}.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{said}\n")
    return root


def test_a_bare_machine_has_what_it_has(tmp_path: Path) -> None:
    assert (main_memory({}, tmp_path), cores({}, tmp_path)) == (HOST, 64)


@pytest.mark.parametrize(
    ("group", "files"),
    [
        ("0::/", {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/cpu.max": "250000 100000"}),
        (
            "0::/kubepods/pod1/studio",
            {
                "sys/fs/cgroup/kubepods/pod1/studio/memory.max": "2000",
                "sys/fs/cgroup/kubepods/pod1/studio/cpu.max": "max 100000",
                "sys/fs/cgroup/kubepods/pod1/memory.max": "1000",
                "sys/fs/cgroup/kubepods/cpu.max": "200000 100000",
            },
        ),
        (
            "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a",
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
        ),
    ],
)
def test_a_control_group_gives_less(tmp_path: Path, group: str, files: dict[str, str]) -> None:
    root = container(tmp_path, group, files)
    assert (main_memory({}, root), cores({}, root)) == (1000, 2)


@pytest.mark.parametrize("group", ["0::/", "4:memory:/\n5:cpu:/", "0::/../elsewhere"])
def test_a_group_without_limits_gives_everything(tmp_path: Path, group: str) -> None:
    limits = {
        "sys/fs/cgroup/memory.max": "max",
        "sys/fs/cgroup/cpu.max": "max 100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/elsewhere/memory.max": "5",
    }
    root = container(tmp_path, group, limits)
    assert (main_memory({}, root), cores({}, root)) == (HOST, 64)


def test_half_a_core_is_one_thread(tmp_path: Path) -> None:
    root = container(tmp_path, "0::/", {"sys/fs/cgroup/cpu.max": "50000 100000"})
    assert cores({}, root) == 1


@pytest.mark.parametrize(
    ("said", "size"), [("512Mi", 2**29), ("1.5Gi", 3 * 2**29), ("1G", 10**9), ("1000", 1000)]
)
def test_a_space_says_it_in_its_variables(tmp_path: Path, said: str, size: int) -> None:
    space = {**SPACE, "MEMORY": said, "CPU_CORES": "2"}
    assert main_memory(space, tmp_path) == min(size, HOST)
    assert cores(space, tmp_path) == 2
    # Elsewhere they are somebody else's variables.
    elsewhere = {"MEMORY": "1Gi", "CPU_CORES": "2"}
    assert (main_memory(elsewhere, tmp_path), cores(elsewhere, tmp_path)) == (HOST, 64)


@pytest.mark.parametrize("said", ["plenty", "-1Gi", "16 pounds"])
def test_what_a_space_says_otherwise_is_named(tmp_path: Path, said: str) -> None:
    with pytest.raises(SettingsError, match="MEMORY"):
        main_memory({**SPACE, "MEMORY": said}, tmp_path)
    with pytest.raises(SettingsError, match="CPU_CORES"):
        cores({**SPACE, "CPU_CORES": said}, tmp_path)


def test_threads_that_wait_sleep_unless_the_environment_says_otherwise() -> None:
    """Spinning, they use up the cores that they wait for; OpenMP tells how it was set up."""
    for said, spins in ({}, False), ({"OMP_WAIT_POLICY": "ACTIVE"}, True):
        kept = {name: value for name, value in os.environ.items() if "OMP" not in name}
        found = subprocess.run(
            [sys.executable, "-c", "import studio, torch"],
            env=kept | {"OMP_DISPLAY_ENV": "VERBOSE"} | said,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("GOMP_SPINCOUNT = '0'" in found.stderr) is not spins
