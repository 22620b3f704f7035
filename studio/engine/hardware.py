"""The machine as the operating system tells it, without torch. Effect: looks at the system."""

from __future__ import annotations

import sys
from pathlib import Path

AUTOMATIC_SHARE = 0.7
"""Share of the device's memory that resident weights may take when no budget is set."""

_GPU_DRIVERS = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What the drivers of NVIDIA, AMD and Windows' Linux put there."""


def is_surely_cpu(device: str) -> bool:
    """Whether the DEVICE setting can only mean the CPU here; else torch has to be asked."""
    if device == "cpu":
        return True
    on_linux = sys.platform.startswith("linux")
    return device == "auto" and on_linux and not any(path.exists() for path in _GPU_DRIVERS)


def automatic_budget(memory: int) -> int:
    """Bytes that resident weights may take where no budget is set."""
    return int(memory * AUTOMATIC_SHARE)
