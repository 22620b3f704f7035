"""An immutable snapshot of the weights that are really there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studio.contract import Contract
from studio.inspection import LoraInspection


class FileIdentity(Contract):
    """A file as the contract knows it; where it lies is nobody's business.

    Attributes:
        name: path inside its model, ``/``-separated, or the bare file name of a LoRA.
        sha256: of the whole file, 64 hexadecimal digits.
        size: bytes.
    """

    name: str
    sha256: str
    size: int


Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name → shape, as a safetensors header has them."""


@dataclass(frozen=True, slots=True)
class BaseWeights:
    """A base model on disk.

    Attributes:
        path: its folder (diffusers layout).
        files: every file that is loaded, by name.
        shapes: component (``unet``, ``text_encoder``) → its tensors.
        classes: component → the class its own index names, such as its scheduler's.
    """

    path: Path
    files: tuple[FileIdentity, ...]
    shapes: Mapping[str, Shapes] = field(repr=False)
    classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """A LoRA file on disk, inspected from its header."""

    path: Path
    file: FileIdentity
    inspection: LoraInspection


@dataclass(frozen=True, slots=True)
class Unusable:
    """Weights that are there but cannot be read, and why."""

    path: Path
    reason: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is there of the presets a request names.

    A slug that stands in none of the mappings has no weights on disk.
    ``expected_at`` says where each preset's weights belong, for the way out.
    ``pins`` holds the SHA-256 each slug had when it was first used.
    """

    bases: Mapping[str, BaseWeights]
    loras: Mapping[str, LoraWeights]
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    expected_at: Mapping[str, Path] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
