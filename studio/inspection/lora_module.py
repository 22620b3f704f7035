"""One layer of a LoRA file: its widths and rank, measured from its tensors' shapes."""

from math import prod, sqrt

from pydantic import Field

from studio.contract.base import Contract
from studio.inspection.decompositions import Decomposition, Shape, decompose
from studio.inspection.lora_tensors import Layer


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
        rslora: scaled by alpha / sqrt(rank) instead of alpha / rank (peft's ``use_rslora``).
        dora: has a magnitude vector too.
        bias: changes the layer's bias too.
        tensors: part (``down``, ``up``, ``hada_w1_a``, …) → the tensor's name in the file.
    """

    component: str
    name: str
    rank: int | None
    alpha: float | None = None
    alpha_in_file: bool = False
    in_features: int
    out_features: int
    kernel: tuple[int, int] = (1, 1)
    decomposition: Decomposition
    rslora: bool = False
    dora: bool = False
    bias: bool = False
    tensors: dict[str, str] = Field(exclude=True, repr=False)

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

    @property
    def bias_is_scaled(self) -> bool:
        """Whether alpha scales the bias too: peft's own it does, a ``diff_b`` it does not."""
        return not self.tensors["bias"].endswith(".diff_b")

    def magnitudes_of_inputs(self, shape: Shape) -> bool | None:
        """Whether DoRA magnitudes are of the layer's inputs or of its outputs; None is neither.

        LyCORIS writes (1, in, …) or (out, 1, …); peft (out,), or (1, out, 1, 1).

        Args:
            shape: the magnitudes'.
        """
        count = prod(shape)
        first = shape[0] if shape else 1
        of_peft = "lora_magnitude_vector" in self.tensors["dora"]
        if count == self.out_features and (first == self.out_features or of_peft):
            return False
        if len(shape) > 1 and first == 1 and count == self.in_features:
            return True
        return None


def measure(layer: Layer) -> LoraModule | None:
    """Rank and widths of a layer; None when its tensors make no whole decomposition."""
    found = decompose(layer.shapes)
    if found is None:
        return None
    decomposition, measured = found
    bias = layer.shapes.get("bias")
    if bias is not None and prod(bias) != measured.outputs:
        return None
    return LoraModule(
        component=layer.component,
        name=layer.name,
        rank=measured.rank,
        alpha_in_file="alpha" in layer.tensors,
        in_features=measured.inputs,
        out_features=measured.outputs,
        kernel=measured.kernel,
        decomposition=decomposition,
        dora="dora" in layer.tensors,
        bias=bias is not None,
        tensors=layer.tensors,
    )
