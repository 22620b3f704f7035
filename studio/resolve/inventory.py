"""An immutable snapshot of the weights that are really there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from studio.contract.base import FileIdentity, fingerprint
from studio.inspection import LoraInspection
from studio.inspection.tensor_info import DTYPE_BITS
from studio.presets.model_card import Published

TensorShapes = Mapping[str, tuple[int, ...]]
"""Tensor name → shape, as a safetensors header has them."""


@dataclass(frozen=True, slots=True)
class BaseWeights:
    """A base model on disk.

    Attributes:
        path: its folder (diffusers layout), or its one checkpoint file.
        files: every file that is loaded, by name.
        shapes: component (``unet``, ``text_encoder``) → its tensors, by their diffusers names.
        classes: component → the class its own index names, such as its scheduler's.
        stored: component → the dtype of most of its numbers, as safetensors headers name it.
        layout: where a checkpoint's configurations and tokenizers lie; None for a folder.
        unused: component → variants of its weights that lie beside those that are loaded; an
            empty text is the plain one.
        ignores_guidance: its own configuration says that it was distilled to need no
            guidance scale, so that the number changes nothing.
        published: what its publisher says of it, where that lies beside it.
    """

    path: Path
    files: tuple[FileIdentity, ...]
    shapes: Mapping[str, TensorShapes] = field(repr=False)
    classes: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, str] = field(default_factory=dict)
    layout: Path | None = None
    unused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignores_guidance: bool = False
    published: Published | None = None

    def place(self, name: str) -> Path:
        """Where one of ``files``, or a component's folder of them, lies."""
        return base_place(self.path, self.layout, name)


def base_place(path: Path, layout: Path | None, name: str) -> Path:
    """Where a base's file lies: below its folder; for a checkpoint, itself or its layout."""
    if layout is None:
        return path / name
    # A checkpoint may have another name by now; its layout holds no weights.
    return path if name.endswith(".safetensors") else layout / name


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """A LoRA file on disk, inspected from its header.

    ``published`` is what its publisher says of it, where that lies beside the file; ``unread`` a
    sentence for each of what lies there that cannot be read.
    """

    path: Path
    file: FileIdentity
    inspection: LoraInspection
    published: Published | None = None
    unread: tuple[str, ...] = ()


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
    ``references`` holds the SHA-256 of the reference images that are kept.
    """

    bases: Mapping[str, BaseWeights]
    loras: Mapping[str, LoraWeights]
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    expected_at: Mapping[str, Path] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    references: frozenset[str] = frozenset()


def base_numbers(base: BaseWeights) -> dict[str, int]:
    """Component → how many numbers its weights are."""
    return {
        component: sum(prod(shape) for shape in shapes.values())
        for component, shapes in base.shapes.items()
    }


def most_numbers(lora: LoraWeights) -> int:
    """How many numbers a LoRA's file holds at most: all of it in its narrowest dtype."""
    bits = min((DTYPE_BITS[dtype] for dtype in lora.inspection.dtypes), default=8)
    return lora.file.size * 8 // bits


def base_hash(base: BaseWeights) -> str:
    """One hash for a base: over the canonical JSON of its files' identities, by name."""
    files = sorted(base.files, key=lambda item: item.name)
    return fingerprint([item.model_dump(mode="json") for item in files])
