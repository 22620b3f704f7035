"""The device: which one, what it can compute, what room it has, and its errors by name."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from studio.contract.placement import Dtype
from studio.engine.hardware import automatic_budget
from studio.errors import DeviceError, OutOfMemory, UnsupportedDtype
from studio.machine import cores, main_memory
from studio.resolve.memory import computed_dtypes

_DTYPES = {
    Dtype.FLOAT32: torch.float32,
    Dtype.FLOAT16: torch.float16,
    Dtype.BFLOAT16: torch.bfloat16,
}
# What torch says when the host has no room; the CPU allocator raises a plain RuntimeError.
_NO_ROOM = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "storage size calculation",
)
_BROKEN_DEVICE = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "MPS backend", "HIP error")


def choose_device(wanted: str) -> torch.device:
    """``auto`` (cuda, else mps, else cpu), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        DeviceError: the name is unknown, or this machine has no such device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (
        index and not (kind == "cuda" and index.isdecimal())
    ):
        raise DeviceError(
            f"DEVICE is {wanted!r}.", "Set it to auto, cpu, cuda, cuda:1 (any number) or mps."
        )
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"This machine has no device {wanted!r}.", "Set DEVICE to auto or to cpu."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("This machine has no mps device.", "Set DEVICE to auto or to cpu.")
    return torch.device(f"cuda:{int(index or 0)}" if kind == "cuda" else kind)


def describe(device: torch.device) -> str:
    """The device in words, for example ``CPU, 2 threads``."""
    if device.type == "cuda":
        gib = total_memory(device) / 2**30
        return f"{torch.cuda.get_device_name(device)}, {gib:.0f} GiB"
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def hardware(device: torch.device) -> str:
    """``describe``, on a CPU with the instructions that torch chooses its kernels by: another
    order of additions there gives other last bits."""
    if device.type != "cpu":
        return describe(device)
    return f"{describe(device)}, {torch.backends.cpu.get_cpu_capability()}"


def gpu_uuid(device: torch.device) -> str | None:
    """What the driver tells a GPU from every other by; None for another device."""
    if device.type != "cuda":
        return None
    return str(torch.cuda.get_device_properties(device).uuid)


def torch_dtype(name: str, device: torch.device) -> torch.dtype:
    """The plan's dtype, if ``device`` computes in it.

    Raises:
        UnsupportedDtype: never answered with another dtype, because that is another image.
    """
    known = computed_dtypes(device.type, computes_bfloat16(device))
    if name not in known:
        raise UnsupportedDtype(
            f"The plan's dtype is {name!r}, which {device} cannot compute diffusion models in.",
            f"Choose {' or '.join(known)} as the precision.",
        )
    return _DTYPES[Dtype(name)]


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has it, be it slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether it does so without hardware for it: NVIDIA's before compute capability 8.0."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) < (8, 0)


def limit_threads() -> None:
    """As many threads as there are cores for this process, and not the machine's: in a container
    they would take turns. What OMP_NUM_THREADS says stays."""
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > cores():
        torch.set_num_threads(cores())


def total_memory(device: torch.device) -> int:
    """Bytes of the device's memory; the host's for cpu and mps."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return main_memory()


def budget_or_automatic(budget: int | None, device: torch.device) -> int:
    """Bytes that resident weights may take: as set, else a share of the memory."""
    return automatic_budget(total_memory(device)) if budget is None else budget


def free_memory(device: torch.device) -> None:
    """Find what refers to nothing but itself, as a dropped pipeline does, and give it back.

    It looks at every object there is: half a second where diffusers is loaded.
    """
    gc.collect()
    give_back(device)


def give_back(device: torch.device) -> None:
    """Give back what nothing refers to any more, to the device and to the system."""
    _trim()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _trim() -> None:
    """glibc keeps what was freed in small pieces, unless it is asked to give it back."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


@contextmanager
def named_errors(device: torch.device, doing: str) -> Iterator[None]:
    """Turn torch's memory and device errors into the studio's; others pass as they are.

    Raises:
        OutOfMemory, DeviceError: after what the failed work held has been given back.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if _is_out_of_memory(error, text):
            error.__traceback__ = None  # its frames hold the tensors that filled the memory
            free_memory(device)
            raise OutOfMemory(
                f"There was no room on {device} for {doing}: {text.splitlines()[0][:200]}",
                "Choose a smaller size, fewer LoRAs, or a smaller base.",
            ) from None
        if any(mark in text for mark in _BROKEN_DEVICE):
            raise DeviceError(
                f"The device {device} failed during {doing}: {text.splitlines()[0][:200]}",
                "Try again; restart the studio if it happens twice.",
            ) from error
        raise


def _is_out_of_memory(error: Exception, text: str) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(mark in text for mark in _NO_ROOM)
