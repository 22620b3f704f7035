"""A LoRA file in memory: read once, hashed as it was read, each tensor with the part it plays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from studio.errors import HeaderError, LoraRefused, WeightsError
from studio.inspection import LoraInspection, inspect
from studio.inspection.header import SafetensorsHeader, parse
from studio.inspection.lora_module import LoraModule
from studio.inspection.problems import ALPHA_DTYPES, WEIGHT_DTYPES
from studio.inspection.tensor_info import TensorInfo
from studio.inspection.twice import Read

WAY_OUT = "Use another file of this LoRA."

_TORCH = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
}
_DTYPES = {name: _TORCH[name] for name in {*WEIGHT_DTYPES, *ALPHA_DTYPES}}


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """One layer of the file.

    Attributes:
        module: its widths, kind and scale.
        tensors: part (``down``, ``up``, ``hada_w1_a``, …) → the tensor as stored.
    """

    module: LoraModule
    tensors: Mapping[str, torch.Tensor] = field(repr=False)

    @property
    def scale(self) -> float:
        """alpha / rank; 1 where the file says no alpha."""
        assert self.module.scale is not None  # read_lora refuses what it cannot scale
        return self.module.scale


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A whole file; ``layers`` by the name that a ``Placement`` calls them."""

    slug: str
    inspection: LoraInspection = field(repr=False)
    layers: Mapping[str, LoraLayer] = field(repr=False)


def read_lora(slug: str, path: Path, sha256: str) -> LoraFile:
    """Read a file of exactly that SHA-256; what was hashed is what is used.

    Raises:
        WeightsError: it cannot be read, or is another file.
        LoraRefused: it is not a LoRA, or one with ``problems``.
    """
    if path.suffix.lower() != ".safetensors":
        # Any other name would be pickle, which runs code.
        raise LoraRefused(slug, ("Its file is not named .safetensors.",), WAY_OUT)
    data = _read(slug, path, sha256)
    try:
        header = parse(bytes(data[: _header_end(data)]), len(data))
    except HeaderError as error:
        raise LoraRefused(slug, (f"It cannot be read: {error}.",), WAY_OUT) from error
    tensors = _tensors(header, data)
    inspection = inspect(header, _alphas(header, tensors), _bytes_of(data))
    if inspection.kind != "lora":
        text = f"It holds no LoRA; it is {inspection.kind}."
        raise LoraRefused(slug, (text,), "Choose the LoRA's own file.")
    if inspection.problems:
        raise LoraRefused(slug, inspection.problems, WAY_OUT)
    layers = {
        module.path: LoraLayer(
            module, {part: tensors[name] for part, name in module.tensors.items()}
        )
        for module in inspection.modules
    }
    return LoraFile(slug, inspection, layers)


def _read(slug: str, path: Path, sha256: str) -> bytearray:
    try:
        with path.open("rb") as file:
            data = bytearray(path.stat().st_size)
            size = file.readinto(data)
    except OSError as error:
        raise WeightsError(
            f"The file of LoRA {slug!r} cannot be read: {error.strerror}.",
            "Fetch it again.",
            path,
        ) from error
    found = hashlib.sha256(memoryview(data)[:size]).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"The file of LoRA {slug!r} has SHA-256 {found[:12]}…, not {sha256[:12]}….",
            "Fetch it again; it changed since the plan was made.",
            path,
        )
    return data


def _header_end(data: bytearray) -> int:
    return min(len(data), 8 + int.from_bytes(data[:8], "little"))


def _tensors(header: SafetensorsHeader, data: bytearray) -> dict[str, torch.Tensor]:
    """Views of ``data``; nothing is copied. Other dtypes are left out: no layer has them."""
    start = _header_end(data)
    tensors = {}
    for name, info in header.tensors.items():
        dtype = _DTYPES.get(info.dtype)
        if dtype is None:
            continue
        count = math.prod(info.shape)
        flat = (
            torch.frombuffer(data, dtype=dtype, count=count, offset=start + info.start)
            if count
            else torch.empty(0, dtype=dtype)
        )
        tensors[name] = flat.view(info.shape)
    return tensors


def _bytes_of(data: bytearray) -> Read:
    start = _header_end(data)

    def read(info: TensorInfo, most: int) -> bytes:
        return bytes(data[start + info.start : min(start + info.end, start + info.start + most)])

    return read


def _alphas(header: SafetensorsHeader, tensors: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The ``.alpha`` tensors that hold one finite number.

    Others matter only to a layer that is scaled by them: ai-toolkit writes 9999999999, which is
    infinite in float16, into a LoKr of two whole factors, which has no rank to divide it by.
    """
    found = {
        name: float(tensor.item())
        for name, tensor in tensors.items()
        if name.endswith(".alpha")
        and tensor.numel() == 1
        and header.tensors[name].dtype in ALPHA_DTYPES
    }
    return {name: alpha for name, alpha in found.items() if math.isfinite(alpha)}
