"""One layer of a LoRA file: its widths and rank, measured from its tensors' shapes."""

from collections.abc import Iterable, Mapping
from math import prod, sqrt

from studio.contract.base import Contract
from studio.inspection.lora_tensors import HADA, LOKR, Layer, Shape


class LoraModule(Contract):
    """One layer the file changes.

    Attributes:
        component: ``unet``, ``transformer``, ``text_encoder``, ``text_encoder_2`` or
            ``text_encoder_3``; ``denoiser`` where the architecture is unknown.
        name: the module's name as the file spells it, without prefix and suffix; dots, or
            underscores where the format flattens them (kohya).
        rank: of the decomposition; None where it has none (a full difference).
        alpha: its value where it is known; the header holds it only as diffusers metadata,
            so for ``.alpha`` tensors it must be read from the file (see ``inspect``).
        alpha_in_file: whether the file says an alpha for this layer. Without one the scale
            is 1, as if alpha were the rank; with one whose value is None, the scale is not
            known from the header.
        in_features, out_features: widths; for convolutions the channel counts. LyCORIS
            folds a convolution's kernel into ``in_features``.
        kernel: kernel height and width, (1, 1) for a linear layer.
        decomposition: ``lora``, ``loha``, ``lokr`` or ``full``; or ``norm``, a difference of the
            vector that a norm has for a weight.
        rslora: scaled by alpha / sqrt(rank) instead of alpha / rank (peft's ``use_rslora``).
        dora: has a magnitude vector too.
        bias: changes the layer's bias too.
    """

    component: str
    name: str
    rank: int | None
    alpha: float | None = None
    alpha_in_file: bool = False
    in_features: int
    out_features: int
    kernel: tuple[int, int] = (1, 1)
    decomposition: str = "lora"
    rslora: bool = False
    dora: bool = False
    bias: bool = False

    @property
    def path(self) -> str:
        """A layer of a file as waivers, placements and sentences name it."""
        return f"{self.component}.{self.name}"

    @property
    def scale(self) -> float | None:
        """What the difference is multiplied with at strength 1; None is not known."""
        if not self.alpha_in_file or self.rank is None:
            return 1.0
        if self.alpha is None:
            return None
        return self.alpha / (sqrt(self.rank) if self.rslora else self.rank)


def measure(layer: Layer) -> LoraModule | None:
    """Rank and widths of a layer; None when its tensors make no whole decomposition."""
    shapes = layer.shapes
    for kind, measured in (
        ("lora", _lora(shapes)),
        ("loha", _loha(shapes)),
        ("lokr", _lokr(shapes)),
        ("norm" if len(shapes.get("diff", ())) == 1 else "full", _full(shapes)),
    ):
        if measured is not None:
            rank, inputs, outputs, kernel = measured
            if "bias" in shapes and prod(shapes["bias"]) != outputs:
                return None
            return LoraModule(
                component=layer.component,
                name=layer.name,
                rank=rank,
                alpha_in_file="alpha" in shapes,
                in_features=inputs,
                out_features=outputs,
                kernel=kernel,
                decomposition=kind,
                dora="dora" in shapes,
                bias="bias" in shapes,
            )
    return None


Measured = tuple[int | None, int, int, tuple[int, int]]


def widths(shape: Shape) -> tuple[int, int, tuple[int, int]]:
    """A weight's shape → (inputs, outputs, kernel); a vector's inputs are its outputs."""
    if len(shape) == 4:
        return shape[1], shape[0], (shape[2], shape[3])
    if len(shape) == 2:
        return shape[1], shape[0], (1, 1)
    return prod(shape), prod(shape), (1, 1)


def _lora(shapes: Mapping[str, Shape]) -> Measured | None:
    down, up, mid = shapes.get("down", ()), shapes.get("up", ()), shapes.get("mid")
    if {len(down), len(up)} - {2, 4} or _extra(shapes, {"down", "up", "mid"}):
        return None
    if down[0] != up[1] or down[0] == 0 or up[2:] not in ((), (1, 1)):
        return None
    inputs, _, kernel = widths(down)
    if mid is not None:
        if len(mid) != 4 or mid[:2] != (down[0], down[0]) or kernel != (1, 1):
            return None
        kernel = (mid[2], mid[3])
    return down[0], inputs, up[0], kernel


def _loha(shapes: Mapping[str, Shape]) -> Measured | None:
    left, right = shapes.get("hada_w1_a", ()), shapes.get("hada_w1_b", ())
    twins = shapes.get("hada_w2_a"), shapes.get("hada_w2_b")
    if _extra(shapes, (f"hada_{part}" for part in HADA)) or twins != (left, right):
        return None
    if len(left) != 2 or len(right) != 2 or 0 in left:
        return None
    if "hada_t1" in shapes or "hada_t2" in shapes:
        core = shapes.get("hada_t1", ())
        if len(core) != 4 or shapes.get("hada_t2") != core or core[:2] != (left[0], right[0]):
            return None
        return left[0], right[1], left[1], (core[2], core[3])
    return (left[1], right[1], left[0], (1, 1)) if left[1] == right[0] else None


def _lokr(shapes: Mapping[str, Shape]) -> Measured | None:
    first, second = _factor(shapes, "w1"), _factor(shapes, "w2")
    if first is None or second is None or _extra(shapes, (f"lokr_{part}" for part in LOKR)):
        return None
    (rank_1, in_1, out_1, _), (rank_2, in_2, out_2, kernel) = first, second
    return rank_2 or rank_1, in_1 * in_2, out_1 * out_2, kernel


def _factor(shapes: Mapping[str, Shape], which: str) -> Measured | None:
    """One Kronecker factor: whole, as a product a·b, or with a Tucker core."""
    whole = shapes.get(f"lokr_{which}")
    if whole is not None:
        inputs, outputs, kernel = widths(whole)
        return (None, inputs, outputs, kernel) if len(whole) in (2, 4) else None
    left, right = shapes.get(f"lokr_{which}_a", ()), shapes.get(f"lokr_{which}_b", ())
    if len(left) != 2 or len(right) != 2 or 0 in left:
        return None
    core = shapes.get("lokr_t2") if which == "w2" else None
    if core is not None:
        whole_core = len(core) == 4 and core[:2] == (left[0], right[0])
        return (left[0], right[1], left[1], (core[2], core[3])) if whole_core else None
    return (right[0], right[1], left[0], (1, 1)) if left[1] == right[0] else None


def _full(shapes: Mapping[str, Shape]) -> Measured | None:
    if "diff" in shapes and not _extra(shapes, {"diff"}):
        inputs, outputs, kernel = widths(shapes["diff"])
        return None, inputs, outputs, kernel
    return None


_ANYWHERE = {"alpha", "dora", "bias"}


def _extra(shapes: Mapping[str, Shape], own: Iterable[str]) -> bool:
    """Whether a layer mixes decompositions."""
    return bool(set(shapes) - set(own) - _ANYWHERE)
