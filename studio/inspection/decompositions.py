"""The decompositions of a weight's change: how each one's tensors are called and measured.

One class for each; what it computes is in its counterpart in ``studio.engine.lora.deltas``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from math import prod
from typing import ClassVar, NamedTuple

Shape = tuple[int, ...]
PartShapes = Mapping[str, Shape]
"""Part → shape of its tensor."""


class Decomposition(StrEnum):
    """What the tensors of a layer are multiplied to."""

    LORA = "lora"
    LOKR = "lokr"
    LOHA = "loha"
    FULL = "full"
    NORM = "norm"


class Measured(NamedTuple):
    """A layer's widths; ``rank`` is None where the decomposition has none.

    For convolutions the widths are channel counts. LyCORIS folds a kernel into ``inputs``.
    """

    rank: int | None
    inputs: int
    outputs: int
    kernel: tuple[int, int]


_ADAPTER = r"(?:\.(?!weight\Z|bias\Z)[\w-]+)?"
"""peft's name for an adapter, where it is written out."""

MODIFIERS: Mapping[str, str] = {
    "alpha": r"\.alpha",
    "bias": rf"\.lora_B{_ADAPTER}\.bias|\.diff_b|\.b_norm",
    "dora": r"\.dora_scale|\.lora_magnitude_vector(?:\.\w+){0,2}",
}
"""Parts that may stand beside those of any decomposition: part → how a tensor's name ends."""


class LayerTensors(ABC):
    """How one decomposition is stored.

    Attributes:
        label: what people call it.
        parts: part → how a tensor's name ends, as a regular expression.
        names_format: whether a file that has such a layer is called by it.
        folds_kernel: whether a convolution's kernel may be folded into its inputs.
    """

    decomposition: ClassVar[Decomposition]
    label: ClassVar[str]
    parts: ClassVar[Mapping[str, str]]
    names_format: ClassVar[bool] = False
    folds_kernel: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        """Rank and widths from a layer's shapes; None where they make no whole decomposition.

        Args:
            shapes: of ``parts`` and of ``MODIFIERS``, and of nothing else.
        """


def _ends(*names: str) -> dict[str, str]:
    return {name: rf"\.{name}" for name in names}


class LoraTensors(LayerTensors):
    """up·down, or with a Tucker core up·(mid * down) (LoCon)."""

    decomposition = Decomposition.LORA
    label = "LoRA"
    parts: ClassVar = {
        "down": rf"\.lora_A{_ADAPTER}(?:\.weight)?|\.lora_down\.weight"
        r"|\.lora(?:_linear_layer)?\.down\.weight"
        r"|(?:(?<=_lora)|(?<=_lora\d))\.down\.weight",
        "up": rf"\.lora_B{_ADAPTER}(?:\.weight)?|\.lora_up\.weight"
        r"|\.lora(?:_linear_layer)?\.up\.weight"
        r"|(?:(?<=_lora)|(?<=_lora\d))\.up\.weight",
        "mid": r"\.lora_mid\.weight",
    }

    @classmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        down, up, mid = shapes.get("down", ()), shapes.get("up", ()), shapes.get("mid")
        if {len(down), len(up)} - {2, 4}:
            return None
        if down[0] != up[1] or down[0] == 0 or up[2:] not in ((), (1, 1)):
            return None
        inputs, _, kernel = widths(down)
        if mid is not None:
            if len(mid) != 4 or mid[:2] != (down[0], down[0]) or kernel != (1, 1):
                return None
            kernel = (mid[2], mid[3])
        return Measured(down[0], inputs, up[0], kernel)


class LokrTensors(LayerTensors):
    """A Kronecker product of two factors, each whole, a product, or with a Tucker core."""

    decomposition = Decomposition.LOKR
    label = "LoKr"
    parts: ClassVar = _ends(
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"
    )
    names_format = True
    folds_kernel = True

    @classmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        first, second = cls._factor(shapes, "w1"), cls._factor(shapes, "w2")
        if first is None or second is None:
            return None
        inputs, outputs = first.inputs * second.inputs, first.outputs * second.outputs
        return Measured(second.rank or first.rank, inputs, outputs, second.kernel)

    @staticmethod
    def _factor(shapes: PartShapes, which: str) -> Measured | None:
        whole = shapes.get(f"lokr_{which}")
        if whole is not None:
            return Measured(None, *widths(whole)) if len(whole) in (2, 4) else None
        left, right = shapes.get(f"lokr_{which}_a", ()), shapes.get(f"lokr_{which}_b", ())
        core = shapes.get("lokr_t2") if which == "w2" else None
        return _product(left, right) if core is None else _tucker(left, right, core)


class LohaTensors(LayerTensors):
    """An elementwise product of two products, each with a Tucker core or without."""

    decomposition = Decomposition.LOHA
    label = "LoHa"
    parts: ClassVar = _ends(
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"
    )
    names_format = True
    folds_kernel = True

    @classmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        left, right = shapes.get("hada_w1_a", ()), shapes.get("hada_w1_b", ())
        if (shapes.get("hada_w2_a"), shapes.get("hada_w2_b")) != (left, right):
            return None
        if "hada_t1" not in shapes and "hada_t2" not in shapes:
            return _product(left, right)
        core = shapes.get("hada_t1", ())
        return _tucker(left, right, core) if shapes.get("hada_t2") == core else None


class FullTensors(LayerTensors):
    """A whole difference of the weight."""

    decomposition = Decomposition.FULL
    label = "full difference"
    parts: ClassVar = {"diff": r"\.diff|\.w_norm"}

    @classmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        diff = shapes.get("diff")
        return None if diff is None or len(diff) == 1 else Measured(None, *widths(diff))


class NormTensors(LayerTensors):
    """A difference of the vector that a norm has for a weight."""

    decomposition = Decomposition.NORM
    label = "norm"
    parts = FullTensors.parts

    @classmethod
    def measure(cls, shapes: PartShapes) -> Measured | None:
        diff = shapes.get("diff", ())
        return Measured(None, *widths(diff)) if len(diff) == 1 else None


_ALL: tuple[type[LayerTensors], ...] = (
    LoraTensors, LokrTensors, LohaTensors, FullTensors, NormTensors,
)  # fmt: skip
TENSORS: Mapping[Decomposition, type[LayerTensors]] = {each.decomposition: each for each in _ALL}
"""Every decomposition; where two name a file's format, the first does."""


def decompose(shapes: PartShapes) -> tuple[Decomposition, Measured] | None:
    """The one decomposition that a layer's tensors make up, wholly; None where there is none."""
    own = shapes.keys() - MODIFIERS.keys()
    for decomposition, tensors in TENSORS.items():
        if own <= tensors.parts.keys():
            measured = tensors.measure(shapes)
            if measured is not None:
                return decomposition, measured
    return None


def widths(shape: Shape) -> tuple[int, int, tuple[int, int]]:
    """A weight's shape → (inputs, outputs, kernel); a vector's inputs are its outputs."""
    if len(shape) == 4:
        return shape[1], shape[0], (shape[2], shape[3])
    if len(shape) == 2:
        return shape[1], shape[0], (1, 1)
    return prod(shape), prod(shape), (1, 1)


def _product(left: Shape, right: Shape) -> Measured | None:
    """(out, rank)·(rank, in)."""
    if len(left) != 2 or len(right) != 2 or 0 in left or left[1] != right[0]:
        return None
    return Measured(right[0], right[1], left[0], (1, 1))


def _tucker(left: Shape, right: Shape, core: Shape) -> Measured | None:
    """(rank, out), (rank, in) and a core of (rank, rank, height, width)."""
    if len(left) != 2 or len(right) != 2 or 0 in left:
        return None
    if len(core) != 4 or core[:2] != (left[0], right[0]):
        return None
    return Measured(left[0], right[1], left[1], (core[2], core[3]))
