"""What a LoRA file is, told from its safetensors header alone."""

from collections.abc import Mapping

from pydantic import Field

from studio.contract import Contract
from studio.header import SafetensorsHeader


class LoraModule(Contract):
    """One layer the file changes.

    Attributes:
        component: ``unet``, ``transformer``, ``text_encoder``, ``text_encoder_2`` or
            ``text_encoder_3``.
        name: the module's name as the file spells it, without prefix and suffix; dots, or
            underscores where the format flattens them (kohya).
        rank: of the decomposition; None where it has none (a full difference).
        alpha: its value where it is known; the header holds it only as diffusers metadata,
            so for ``.alpha`` tensors it must be read from the file (see ``inspect``).
        alpha_in_file: whether the file says an alpha for this layer. Without one the scale
            is 1, as if alpha were the rank; with one whose value is None, the scale is not
            known from the header.
        in_features, out_features: widths; for convolutions the channel counts.
        kernel: kernel height and width, (1, 1) for a linear layer.
        decomposition: ``lora``, ``loha``, ``lokr`` or ``full``.
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


class LoraInspection(Contract):
    """The verdict with its evidence; tensors decide, ``claims`` stand beside it.

    Attributes:
        kind: ``lora``, ``checkpoint``, ``embedding``, ``vae`` or ``unknown``.
        architecture: ``mini``, ``sd15``, ``sdxl``, … or ``unknown``; every value of
            ``Architecture`` and the families that are only recognised to be refused
            (``sd2``, ``sd3``, ``chroma``, ``wan``, ``lumina2``).
        variant: where the keys decide it, else None.
        format: ``diffusers``, ``kohya``, ``comfyui``, ``xlabs``, ``bare``, ``lokr``, ``loha``,
            ``dora`` or ``unknown``.
        evidence: sentences, the deciding one first; what is undecidable is said too.
        claims: what the file's own metadata says (``ss_*``, ``modelspec.*``).
        conflicts: sentences where a claim contradicts the tensors.
        components: component → number of layers the file changes there.
        alphas: the distinct known values, ascending.
        unaccounted: tensors that belong to no module of ``modules``, and no alpha.
    """

    kind: str
    architecture: str
    variant: str | None
    format: str
    evidence: tuple[str, ...]
    claims: dict[str, str]
    conflicts: tuple[str, ...] = ()
    components: dict[str, int]
    modules: tuple[LoraModule, ...] = Field(repr=False)
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    dtypes: tuple[str, ...]
    trigger_hints: tuple[str, ...]
    unaccounted: tuple[str, ...]


def inspect(header: SafetensorsHeader, alphas: Mapping[str, float] | None = None) -> LoraInspection:
    """The verdict on a file from its ``header``; never fails for a valid header.

    Args:
        alphas: values of the file's ``.alpha`` tensors by tensor name, where a caller has
            read them; without them those alphas stay None.
    """
    raise NotImplementedError
