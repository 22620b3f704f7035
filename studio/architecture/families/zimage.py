"""Z-Image, whose authors', ComfyUI's and kohya-ss's names follow diffusers'
``convert_z_image_transformer_checkpoint_to_diffusers``."""

from studio.architecture.family import ModelPart, TextEncoder, Traits
from studio.architecture.fingerprint import FingerprintRule, widths_of
from studio.architecture.layer_names import Layout, Same, same
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import LORA_MODES, Chat, PipelineTraits, SequenceLength

_CONTAINERS = ("layers", "noise_refiner", "context_refiner")


def _blocks(container: str) -> tuple[Same, ...]:
    ours = f"{container}.#.attention."
    return (
        same(f"{container}.#.attention.qkv", ours + "to_q", ours + "to_k", ours + "to_v"),
        same(f"{container}.#.attention.out", ours + "to_out.0"),
    )


_NAMES = Layout(
    marker="noise_refiner.0.attention.to_q",
    names=(
        *(line for container in _CONTAINERS for line in _blocks(container)),
        same("x_embedder", "all_x_embedder.2-1"),
        same("final_layer.linear", "all_final_layer.2-1.linear"),
        same("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
    ),
)

_PIPELINE = PipelineTraits(
    "ZImagePipeline",
    GuidanceKind.CFG_FROM_ZERO,
    negative_prompt=True,
    modes=LORA_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(thinking=True),
)

ZIMAGE = Traits(
    name=Architecture.ZIMAGE,
    label="Z-Image",
    called=r"z[-_ ]?image",
    words=("z-image", "zimageturbo", "zimagebase"),
    ecosystems=("zimageturbo", "zimagebase"),
    undecidable={None: "Z-Image Turbo or base: not decidable from this file."},
    layer_names=(_NAMES.aliases,),
    pipelines=(_PIPELINE,),
    text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
    size_multiple=16,
    flow_matching=True,
    block_groups=(
        ModelPart("refiner", "refiners", r"(?:noise|context)_refiner\."),
        ModelPart("layers", "main layers", r"layers\."),
    ),
)

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("zimage",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|feed_forward_w[123])",
        "Layers are {reads} features wide, as in Z-Image.",
        reads=widths_of(3840, 10240),
    ),
    FingerprintRule(
        ("zimage",),
        r"^(?:layers|noise_refiner)_\d+_adaLN_modulation_[01]$",
        "Modulation gives {gives} features, as in Z-Image.",
        pairs=frozenset({(256, 15360)}),
    ),
)
