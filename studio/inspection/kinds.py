"""What a safetensors file is when it is not a LoRA: a checkpoint, an embedding, a VAE, …"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.architecture.families import BY_NAME, FAMILIES, RULES, TEXT_RULES
from studio.inspection.decompositions import Shape, widths
from studio.inspection.verdict import UNKNOWN, Measure, judge

_PREFIX = re.compile(r"^(?:model\.)?(?:diffusion_model|transformer|unet|control_model)\.")
_CONTROL = re.compile(
    r"controlnet_|(?:^|\.)zero_convs\.|(?:^|\.)input_hint_block\.|^lora_controlnet$|lllite_"
    r"|(?:^|\.)control_(?:layers|blocks|noise_refiner|all_x_embedder)\."
)
_OTHERS: tuple[tuple[str, str, str], ...] = (
    (
        "vae",
        r"(?:first_stage_model\.|vae\.)?decoder\.(?:conv_in|conv_out|conv1|head|layers\.\d+)\b",
        "It holds a VAE's decoder and no denoiser.",
    ),
    (
        "ip-adapter",
        r"(?:image_proj|ip_adapter)\.|.*\.ip_adapter_|ip_adapter_proj_model\.",
        "It holds an IP-Adapter's layers.",
    ),
    (
        "ip-adapter",
        r"(?:pulid_|id_adapter|id_encoder\.|redux_(?:up|down)\.)",
        "It holds layers that show a picture to a model (PuLID, PhotoMaker, Redux).",
    ),
    (
        "t2i-adapter",
        r"(?:adapter\.)?body\.\d+\.(?:resnets|block\d|in_conv|down_opt)",
        "It holds a T2I-Adapter's layers.",
    ),
    (
        "image encoder",
        r"(?:vision_model|visual_projection)\.",
        "It holds an image encoder's whole weights.",
    ),
    (
        "upscaler",
        r"(?:params(?:_ema)?\.)?(?:conv_first\.|body\.\d+\.rdb\d\.|model\.1\.sub\.\d+\.)",
        "It holds an upscaler's layers.",
    ),
    (
        "text encoder",
        r"(?:(?:visual\.|model\.)*transformer\.resblocks\.\d+\.attn\.in_proj_weight\Z)"
        r"|(?:encoder\.block\.\d+\.layer\.0\.SelfAttention\.q"
        r"|(?:model\.)?(?:language_model\.)?layers\.\d+\.self_attn\.q_proj)\.weight\Z",
        "It holds a text encoder's whole weights: a language model's or OpenCLIP's.",
    ),
    (
        "checkpoint",
        r"(?:model\.)?diffusion_model\.",
        "It holds a denoiser's whole weights, whose widths are of no family known here; they "
        "may be quantised.",
    ),
)
"""(kind, how a tensor's name begins, evidence) of files whose widths tell nothing."""


_OFT = "orthogonal matrices (OFT), which turn a layer's weights"
_ADAPTERS: tuple[tuple[str, str, str], ...] = (
    ("boft", r"\.boft_[RsP](?:\.|\Z)", "BOFT layers, which turn a layer's weights"),
    ("oft", r"(?:^|[._])oft_(?:unet|te\d?)_|\.oft_[Rrs](?:\.|\Z)", _OFT),
    ("diag-oft", r"\.oft_(?:blocks|diag)\Z", _OFT),
    ("ia3", r"\.on_input\Z|\.ia3_l(?:\.|\Z)", "IA3 vectors, which scale a layer's inputs"),
    ("glora", r"\.[ab][12]\.weight\Z", "GLoRA matrices, which multiply a layer's own weights"),
    ("lora list", r"\A(?:\w+:)?\d+:(?:up|down)\Z", "numbered matrices of the first LoRA trainer"),
    ("nunchaku", r"\.lora_(?:down|up)\Z", "a LoRA packed for Nunchaku's quantised models"),
    (
        "vera",
        r"(?:\A|\.)vera_(?:[AB]|lambda_[bd])\b",
        "VeRA's vectors over matrices of all layers",
    ),
    ("vb-lora", r"(?:\A|\.)vblora_", "VB-LoRA's choices from a bank of vectors"),
    ("hra", r"\.hra_u\b", "Householder reflections (HRA), which turn a layer's weights"),
    ("bone", r"\.(?:bone|miss)_block\b", "Bone blocks (MiSS), which repeat over a layer's inputs"),
    ("fourierft", r"\.(?:fourierft|waveft)_spectrum\b", "spectra (FourierFT) of the differences"),
    (
        "peft adapter",
        r"\.(?:c3a_kernel|shira_weight|delora_\w+|road_(?:theta|alpha)|randlora_\w+|lily_\w+)\b",
        "an adapter of peft that is no LoRA",
    ),
    ("hypernetwork", r"\A\d+\.(?:\d+\.)?linear\.\d+\.weight\Z", "a hypernetwork's layers"),
)
"""(kind, what a tensor's name has, what it holds) of adapters that add no matrix of their own."""


_ENTRIES = re.compile(r"(?:conv_in|input_blocks\.0\.0|x_embedder|img_in)\.weight\Z")
_MASKED = "inpainting: beside the latents it reads a mask and a masked picture"
_PURPOSES: Mapping[tuple[str, int], str] = {
    ("unet", 9): _MASKED,
    ("unet", 8): "InstructPix2Pix: beside the latents it reads the picture to be edited",
    ("unet", 5): "depth: beside the latents it reads a depth map",
    ("flux1", 384): f"FLUX.1 Fill, that is {_MASKED}",
    ("flux1", 128): "FLUX.1 Canny or Depth: beside the latents it reads a control picture",
}
"""(U-Nets or a family, what the first layer reads) → what such a checkpoint is made for."""


def purpose_of(shapes: Mapping[str, Shape], architecture: str) -> str | None:
    """What else than text to image a denoiser is made for, told by what its first layer reads;
    None for what makes pictures from text, and where nothing tells.

    Args:
        shapes: tensor name → shape; of one component, or of a checkpoint.
        architecture: as the verdict or the preset has it.
    """
    family = BY_NAME.get(architecture)
    if family is None:
        return None
    kind = family.denoiser if family.denoiser == "unet" else family.name
    for name, shape in shapes.items():
        if _ENTRIES.fullmatch(_PREFIX.sub("", name)) and len(shape) in (2, 4):
            return _PURPOSES.get((kind, shape[1]))
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """A verdict on a file that changes no layer of a base."""

    name: str
    architecture: str
    variant: str | None
    evidence: tuple[str, ...]
    open_to: tuple[str, ...] = ()


def kind_of(shapes: Mapping[str, Shape]) -> Kind:
    """What a file without LoRA layers is."""
    embedding = _embedding(shapes)
    if embedding is not None:
        return embedding
    adapter = _adapter(shapes)
    if adapter is not None:
        return adapter
    layers = _weights(shapes)
    if any(_CONTROL.search(name) for name in shapes):
        return _named("controlnet", "It has a ControlNet's layers.", layers, {})
    verdict = judge(RULES, layers)
    if verdict is not None:
        return _named("checkpoint", "It holds whole weights, not a LoRA's.", layers, shapes)
    if judge(TEXT_RULES, layers) is not None:
        return Kind("text encoder", UNKNOWN, None, ("It holds a text encoder's whole weights.",))
    for kind, pattern, sentence in _OTHERS:
        if any(re.match(pattern, name) for name in shapes):
            return Kind(kind, UNKNOWN, None, (sentence,))
    return Kind(UNKNOWN, UNKNOWN, None, ("It has no LoRA layers and no known model's.",))


def _adapter(shapes: Mapping[str, Shape]) -> Kind | None:
    for kind, pattern, holds in _ADAPTERS:
        found = [name for name in shapes if re.search(pattern, name)]
        if found:
            whole = kind == "diag-oft" and any(len(shapes[name]) == 4 for name in found)
            sentence = f"It holds {holds}; the studio applies LoRAs, LoHas, LoKrs and differences."
            return Kind("boft" if whole else kind, UNKNOWN, None, (sentence,))
    return None


def _named(
    name: str, sentence: str, layers: Sequence[Measure], shapes: Mapping[str, Shape]
) -> Kind:
    verdict = judge(RULES, layers)
    if verdict is None:
        return Kind(name, UNKNOWN, None, (sentence,))
    purpose = purpose_of(shapes, verdict.architecture)
    made_for = () if purpose is None else (f"It is made for {purpose}.",)
    told = (sentence, verdict.sentence, *made_for)
    return Kind(name, verdict.architecture, verdict.variant, told, verdict.open_to)


def _weights(shapes: Mapping[str, Shape]) -> list[Measure]:
    """The weight matrices as the rules see them."""
    layers = []
    for name, shape in shapes.items():
        if name.endswith(".weight") and len(shape) in (2, 4):
            module = _PREFIX.sub("", name.removesuffix(".weight"))
            reads, gives, _ = widths(shape)
            layers.append(Measure(module.replace(".", "_"), reads, gives))
    return layers


def _embedding(shapes: Mapping[str, Shape]) -> Kind | None:
    """Textual inversion: A1111's ``emb_params``, SDXL's ``clip_l``/``clip_g``, or a token."""
    if len(shapes) > 4 or any("." in name or len(shape) > 2 for name, shape in shapes.items()):
        return None
    reads = sorted({shape[-1] for shape in shapes.values() if shape})
    if not reads or max(reads) > 8192 or min(reads) < 32:
        return None
    sentence = f"It holds vectors of {' and '.join(map(str, reads))} features for single tokens."
    found = (family.name for family in FAMILIES if family.embedding == tuple(reads))
    architecture = next(found, UNKNOWN)
    return Kind("embedding", architecture, None, (sentence,))
