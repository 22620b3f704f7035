"""What a run's files say by themselves: how large each update is, and how it moved."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite, sqrt
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from studio.engine.lora.build import difference
from studio.engine.lora.read import LoraFile, LoraLayer, read_lora
from studio.inspection.decompositions import Decomposition
from studio.library.files import hash_file
from studio.trials.rounding import BaseRows
from studio.trials.training_run import Checkpoint, TrainingRun

_BLOCK = re.compile(
    r"(down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks|double_blocks"
    r"|single_blocks|single_transformer_blocks|joint_blocks|transformer_blocks|layers|blocks)"
    r"(?:[._](\d+))?"
)
EXPLODES = 10.0
"""A layer explodes where its norm grows by this factor from one checkpoint to the next, and
five times as much as the median layer's."""
_BEYOND_USUAL = 5.0


@dataclass(frozen=True, slots=True)
class CheckpointWeights:
    """The update ΔW that a file makes at strength 1, from its weights alone.

    Norms are Frobenius norms over all layers that a name covers.

    Attributes:
        norm: of the whole update.
        components, blocks: name → norm, blocks in the order of the file.
        cosine: of the angle to the update of the checkpoint before; None for the first, and
            where one of the two is nothing.
        moved: ‖ΔW − ΔW before‖ / ‖ΔW before‖.
        dead: layers whose ΔW is exactly nothing.
        exploding: layers with numbers that are not finite, or that explode (``EXPLODES``).
        equals: an earlier checkpoint with the very same tensors.
        rounded: the share of the update that a merge into the base in bfloat16 would round away
            (``BaseRows.lost``); None where no base was given, or it is a DoRA, which needs its
            magnitudes for it.
        without_magnitudes: it is a DoRA; its magnitudes need the base, so that what is told
            here is of its directions before they are normed.
    """

    checkpoint: Checkpoint
    sha256: str
    norm: float
    components: Mapping[str, float]
    blocks: Mapping[str, float]
    cosine: float | None
    moved: float | None
    dead: tuple[str, ...]
    exploding: tuple[str, ...]
    equals: Checkpoint | None
    without_magnitudes: bool
    rounded: float | None = None


@dataclass(frozen=True, slots=True)
class _Update:
    """s·ΔW of every layer, as factors where it is a plain product: up·down."""

    layers: Mapping[str, tuple[Tensor, ...]] = field(repr=False)
    norms: Mapping[str, float]

    @property
    def norm(self) -> float:
        return sqrt(sum(norm**2 for norm in self.norms.values()))


def weights_of(run: TrainingRun, base: BaseRows | None = None) -> Iterator[CheckpointWeights]:
    """Every checkpoint of a run, in its order; two files are in memory at a time.

    Args:
        base: that they would be merged into; None for none.

    Raises:
        WeightsError: a file cannot be read.
        LoraRefused: it is no LoRA that a base could take.
    """
    before: _Update | None = None
    seen: dict[str, Checkpoint] = {}
    for checkpoint in run.checkpoints:
        path = Path(checkpoint.path)
        hashes = hash_file(path)
        file = read_lora(path.stem, path, hashes.sha256)
        update = _update(file)
        data = hashes.data_sha256 or hashes.sha256
        told = _told(checkpoint, hashes.sha256, file, update, before, seen.get(data))
        lost = None
        if base is not None and not told.without_magnitudes:
            lost = base.lost(file.inspection, tuple(update.layers.items()))
        yield replace(told, rounded=lost)
        seen.setdefault(data, checkpoint)
        before = update


def _told(
    checkpoint: Checkpoint,
    sha256: str,
    file: LoraFile,
    update: _Update,
    before: _Update | None,
    equals: Checkpoint | None,
) -> CheckpointWeights:
    components: dict[str, float] = defaultdict(float)
    blocks: dict[str, float] = defaultdict(float)
    for name, layer in file.layers.items():
        components[layer.module.component] += update.norms[name] ** 2
        blocks[_block(layer)] += update.norms[name] ** 2
    cosine, moved = (None, None) if before is None else _movement(update, before)
    return CheckpointWeights(
        checkpoint=checkpoint,
        sha256=sha256,
        norm=update.norm,
        components={name: sqrt(square) for name, square in components.items()},
        blocks={name: sqrt(square) for name, square in blocks.items()},
        cosine=cosine,
        moved=moved,
        dead=tuple(name for name, norm in update.norms.items() if norm == 0),
        exploding=tuple(_exploding(update, before)),
        equals=equals,
        without_magnitudes=any(layer.module.dora for layer in file.layers.values()),
    )


def _update(file: LoraFile) -> _Update:
    layers = {name: _factors(layer) for name, layer in file.layers.items()}
    squares = {name: _dot(parts, parts) for name, parts in layers.items()}
    # A square that rounding makes a little negative is nothing; NaN is neither.
    return _Update(layers, {n: sqrt(max(s, 0.0)) if isfinite(s) else inf
                            for n, s in squares.items()})  # fmt: skip


def _factors(layer: LoraLayer) -> tuple[Tensor, ...]:
    plain = layer.module.decomposition is Decomposition.LORA and "mid" not in layer.tensors
    if not plain:
        return (difference(layer).flatten(1),)
    up, down = layer.tensors["up"].float(), layer.tensors["down"].float()
    return (up.flatten(1) * layer.scale, down.flatten(1))


def _dot(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    """⟨A, B⟩ of two updates of a layer: for products Σ (up₁ᵀ·up₂) ∘ (down₁·down₂ᵀ), which
    never builds the matrices."""
    if len(one) == 2 and len(other) == 2:
        product = (one[0].T @ other[0]) * (one[1] @ other[1].T)
    else:
        product = _matrix(one) * _matrix(other)
    return float(product.sum(dtype=torch.float64))


def _matrix(parts: tuple[Tensor, ...]) -> Tensor:
    return parts[0] if len(parts) == 1 else parts[0] @ parts[1]


def _movement(update: _Update, before: _Update) -> tuple[float | None, float | None]:
    shared = update.layers.keys() & before.layers.keys()
    dot = sum(_dot(update.layers[name], before.layers[name]) for name in shared)
    if not update.norm or not before.norm or not isfinite(dot + update.norm + before.norm):
        return None, None
    moved = sqrt(max(update.norm**2 + before.norm**2 - 2 * dot, 0.0)) / before.norm
    return dot / update.norm / before.norm, moved


def _exploding(update: _Update, before: _Update | None) -> Iterator[str]:
    was = {} if before is None else before.norms
    growth = {name: norm / was[name] for name, norm in update.norms.items() if was.get(name)}
    usual = median(growth.values()) if growth else inf
    for name, norm in update.norms.items():
        if not isfinite(norm) or growth.get(name, 0.0) > max(EXPLODES, _BEYOND_USUAL * usual):
            yield name


def _block(layer: LoraLayer) -> str:
    """Where a layer lies, as far as its name tells: ``unet down_blocks 1``."""
    found = _BLOCK.search(layer.module.name)
    place = "other" if found is None else " ".join(filter(None, found.groups()))
    return f"{layer.module.component} {place}"
