"""What a LoRA file is, told from its safetensors header alone."""

from studio.contract import Contract




class LoraModule(Contract):
    """One layer the file changes.

    Attributes:
        component: ``unet``, ``text_encoder``, ``text_encoder_2`` or ``transformer``.
        name: the module's name as the file spells it, without prefix and suffix; dots, or
            underscores where the format flattens them (kohya).
        rank: of the decomposition.
        alpha: as written in the file; None where the file says nothing (scale is 1).
        in_features, out_features: widths; for convolutions the channel counts.
        kernel: kernel height and width, (1, 1) for a linear layer.
    """

    component: str
    name: str
    rank: int
    alpha: float | None
    in_features: int
    out_features: int
    kernel: tuple[int, int] = (1, 1)


class LoraInspection(Contract):
    """The verdict with its evidence; tensors decide, ``claims`` stand beside it.

    Attributes:
        kind: ``lora``, ``checkpoint``, ``embedding``, ``vae`` or ``unknown``.
        architecture: ``mini``, ``sd15``, ``sdxl``, … or ``unknown``.
        variant: where the keys decide it, else None.
        format: ``diffusers``, ``kohya``, ``comfyui``, ``xlabs``, ``bare``, ``lokr``, ``loha``,
            ``dora`` or ``unknown``.
        unaccounted: tensors that belong to no module of ``modules``, and no alpha.
    """

    kind: str
    architecture: str
    variant: str | None
    format: str
    evidence: tuple[str, ...]
    claims: dict[str, str]
    components: dict[str, int]
    modules: tuple[LoraModule, ...]
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    dtypes: tuple[str, ...]
    trigger_hints: tuple[str, ...]
    unaccounted: tuple[str, ...]
