"""Stable Diffusion 1.5, 2 and XL, SDXL's refiner, and the studio's own Mini: U-Nets.

They are told apart by what attention reads, and by how deep it is. Checkpoints in one file
have the names of CompVis' latent-diffusion (SD 1.x) and Stability's generative-models (SDXL).
"""

from studio.architecture.families.unet_names import old_attention, openai_clip, stability_blocks
from studio.architecture.family import Family, ModelPart, Traits, clip
from studio.architecture.fingerprint import FingerprintRule, widths_of
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import LORA_MODES, PipelineTraits

_PIPELINE = PipelineTraits(
    "StableDiffusionPipeline", GuidanceKind.CFG, negative_prompt=True, modes=LORA_MODES
)
_XL_PIPELINE = PipelineTraits(
    "StableDiffusionXLPipeline", GuidanceKind.CFG, negative_prompt=True, modes=LORA_MODES
)

_NAMES = (stability_blocks, old_attention, openai_clip)
_UNET_PART = (("model.diffusion_model.", "input_blocks.0.0.weight"),)
_VAE_PART = (("first_stage_model.", "decoder.conv_in.weight"),)
_BLOCKS = (
    ModelPart("in", "input blocks", r"conv_in\b|down_blocks\."),
    ModelPart("mid", "middle block", r"mid_block\."),
    ModelPart("out", "output blocks", r"up_blocks\.|conv_out\b"),
)
_POSITIONS = "embeddings.position_embedding.weight"


def _clip_part(prefix: str) -> tuple[tuple[str, str], ...]:
    """CLIP-L as transformers has it, as it had it first (NovelAI's leaked model and what was
    merged from it), and as OpenAI's own code has it."""
    return (
        (f"{prefix}transformer.", f"text_model.{_POSITIONS}"),
        (f"{prefix}transformer.", _POSITIONS),
        (f"{prefix}model.", "positional_embedding"),
    )


MINI = Traits(
    name=Architecture.MINI,
    label="Mini",
    called=r"mini(?![a-z-])",
    denoiser="unet",
    embedding=(128,),
    layer_names=_NAMES,
    pipelines=(_PIPELINE,),
    text_encoders=(clip("text_encoder", 3),),
    clip_skip=1,
    compel=True,
    size_multiple=32,
    flow_matching=False,
    block_groups=_BLOCKS,
)
SD15 = Traits(
    name=Architecture.SD15,
    label="Stable Diffusion 1.5",
    called=r"(?:sd[-_ ]?v?|stable-diffusion-v?[-_ ]?)1",
    words=("sd1", "sd1.5", "sd-1.5"),
    ecosystems=("sd1", "sd15"),
    denoiser="unet",
    embedding=(768,),
    layer_names=_NAMES,
    checkpoint={
        "unet": _UNET_PART,
        "vae": _VAE_PART,
        "text_encoder": _clip_part("cond_stage_model."),
    },
    pipelines=(_PIPELINE,),
    text_encoders=(clip("text_encoder", 12),),
    clip_skip=1,
    compel=True,
    size_multiple=8,
    flow_matching=False,
    block_groups=_BLOCKS,
)
SD2 = Family(
    name="sd2",
    label="Stable Diffusion 2",
    called=r"(?:sd[-_ ]?v?|stable-diffusion-v?[-_ ]?)2",
    denoiser="unet",
    embedding=(1024,),
)
SDXL = Traits(
    name=Architecture.SDXL,
    label="SDXL",
    called=r"(?:sdxl|sd xl|stable-diffusion-xl)(?!(?:-v1)?[-_ ]?refiner)"
    r"|pony|illustrious|noobai",
    words=("pony", "illustrious"),
    ecosystems=("sdxl", "sdxldistilled", "pony", "illustrious", "noobai"),
    denoiser="unet",
    undecidable={
        None: "SDXL, Pony or Illustrious: not decidable, they share every layer; Kolors shares "
        "all but its projection."
    },
    embedding=(768, 1280),
    layer_names=_NAMES,
    checkpoint={
        "unet": _UNET_PART,
        "vae": _VAE_PART,
        "text_encoder": _clip_part("conditioner.embedders.0."),
        "text_encoder_2": (("conditioner.embedders.1.model.", "positional_embedding"),),
    },
    pipelines=(_XL_PIPELINE,),
    text_encoders=(clip("text_encoder", 12), clip("text_encoder_2", 32, pooled=True)),
    clip_skip=2,
    compel=True,
    size_multiple=8,
    flow_matching=False,
    block_groups=_BLOCKS,
)
REFINER = Family(
    name="sdxl-refiner",
    label="SDXL's refiner",
    called=r"(?:sdxl|sd xl|stable-diffusion-xl)(?:-v1)?[-_ ]?refiner",
    denoiser="unet",
)
KOLORS = Family(name="kolors", label="Kolors", called=r"kolors", denoiser="unet")

_UNET = r"^(?:down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_"
_CROSS = _UNET + r".*attn2_to_[kv]$"
_SELF = _UNET + r".*(?:attn1_to_[qkv]|attn2_to_q)$"


def _pairs(reads: int, *gives: int) -> frozenset[tuple[int, int]]:
    return frozenset((reads, width) for width in gives)


_CROSS_SAYS = "Cross-attention reads {reads} features, as in "

LOOKALIKES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("kolors",),
        r"^encoder_hid_proj$",
        "It projects a text encoder of {reads} features, as Kolors does.",
        pairs=frozenset({(4096, 2048)}),
    ),
    FingerprintRule(
        (),
        r"_(?:temporal_transformer_blocks|temporal_res_block|motion_modules|temp_attentions)_",
        "It changes layers over time, as in Stable Video Diffusion and AnimateDiff.",
    ),
    FingerprintRule(
        ("sdxl-refiner",),
        _UNET + r".*attn2_to_[kv]$",
        "Cross-attention reads {reads} features, as in SDXL's refiner.",
        pairs=_pairs(1280, 768, 1536),
    ),
    FingerprintRule(
        ("sdxl-refiner",),
        _UNET + r".*(?:attn1_to_[qkv]|attn2_to_q)$",
        "Attention reads {reads} features, as in SDXL's refiner.",
        reads=widths_of(384, 768, 1536),
    ),
)

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(("mini",), _CROSS, _CROSS_SAYS + "Mini.", pairs=_pairs(128, 64, 128, 192)),
    FingerprintRule(
        ("sd15",), _CROSS, _CROSS_SAYS + "Stable Diffusion 1.5.", pairs=_pairs(768, 320, 640, 1280)
    ),
    FingerprintRule(
        ("sd2",), _CROSS, _CROSS_SAYS + "Stable Diffusion 2.", pairs=_pairs(1024, 320, 640, 1280)
    ),
    FingerprintRule(("sdxl",), _CROSS, _CROSS_SAYS + "SDXL.", pairs=_pairs(2048, 320, 640, 1280)),
    FingerprintRule(
        (), _CROSS, "Cross-attention reads {reads} features, as in no family known here."
    ),
    FingerprintRule(
        ("sdxl",),
        _UNET + r".*transformer_blocks_[2-9]_.*",
        "Attention is more than two blocks deep at {reads} features, which only SDXL's is.",
        reads=widths_of(640, 1280, 2048, 2560, 5120),
    ),
    FingerprintRule(
        ("sdxl",),
        r"^(?:up_blocks_0_attentions|output_blocks_[012]_1)_.*attn1_to_[qkv]$",
        "The deepest up block has attention of {reads} features, which only SDXL's has.",
        reads=widths_of(1280),
        gives=widths_of(1280),
    ),
    FingerprintRule(
        ("sd15", "sd2"),
        r"^(?:down_blocks_0|up_blocks_3)_attentions_.*attn[12]_to_q$",
        "Attention starts at {reads} features, as in Stable Diffusion 1.5 and 2.",
        reads=widths_of(320),
    ),
    FingerprintRule(
        ("mini",), _SELF, "Attention reads {reads} features, as in Mini.", widths_of(64, 128, 192)
    ),
    FingerprintRule(
        ("sd15", "sd2", "sdxl"),
        _SELF,
        "Attention reads {reads} features, as in several U-Nets.",
        reads=widths_of(320, 640, 1280),
    ),
    FingerprintRule(
        ("mini", "sd15", "sd2", "sdxl", "sdxl-refiner"),
        _UNET,
        "The layers are named as in a U-Net, and none of them tells which.",
    ),
)
"""What cross-attention reads is the width of the text encoders."""

_TEXT = r"(?:text_model_)?encoder_layers_\d+_(?:self_attn_\w+|mlp_fc1)$"

TEXT_RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("mini",),
        r"^(?:lora_te1?_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as in Mini.",
        reads=widths_of(128),
    ),
    FingerprintRule(
        ("sdxl", "sd3"),
        r"^(?:lora_te2_|text_encoder_2_)" + _TEXT,
        "The second text encoder is {reads} wide, as in SDXL and Stable Diffusion 3.",
        reads=widths_of(1280),
    ),
    FingerprintRule(
        ("sd15",),
        r"^lora_te_" + _TEXT,
        "There is one text encoder, {reads} wide, as in Stable Diffusion 1.5.",
        reads=widths_of(768),
    ),
    FingerprintRule(
        ("sd2",),
        r"^(?:lora_te_|text_encoder_)" + _TEXT,
        "The text encoder is {reads} wide, as in Stable Diffusion 2.",
        reads=widths_of(1024),
    ),
    FingerprintRule(
        ("sd15", "sdxl", "sd3", "flux1"),
        r"^(?:lora_te1_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as the first one of several families is.",
        reads=widths_of(768),
    ),
)
"""For files that change no denoiser; a name starts with the prefix the file gives it."""
