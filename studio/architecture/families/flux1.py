"""FLUX.1, and Chroma, which has its blocks and one guidance layer for all modulation.

Its authors', kohya-ss's, ai-toolkit's and XLabs' names follow diffusers' own conversion of whole
checkpoints (``single_file_utils.py``): there the two halves of the last layer's modulation
change places.
"""

from studio.architecture.families.two_streams import (
    BFL_MLP,
    DOUBLE,
    FLUX1_ALIKE,
    FLUX1_DEPTH,
    FLUX_GROUPS,
    MODULATED,
    SINGLE,
)
from studio.architecture.family import Family, TextEncoder, Traits, clip
from studio.architecture.fingerprint import FingerprintRule, squares, widths_of
from studio.architecture.layer_names import Layout, same
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import ALL_MODES, LORA_MODES, PipelineTraits, SequenceLength

_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")


def _parts(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


DOUBLE_BLOCK = "transformer_blocks.#."
SINGLE_BLOCK = "single_transformer_blocks.#."

BFL_ATTENTION = (
    same("double_blocks.#.img_attn.qkv", *_parts(DOUBLE_BLOCK + "attn.", _QKV)),
    same("double_blocks.#.txt_attn.qkv", *_parts(DOUBLE_BLOCK + "attn.", _ADDED)),
    same("double_blocks.#.img_attn.proj", DOUBLE_BLOCK + "attn.to_out.0"),
    same("double_blocks.#.txt_attn.proj", DOUBLE_BLOCK + "attn.to_add_out"),
    same("img_in", "x_embedder"),
    same("txt_in", "context_embedder"),
    same("final_layer.linear", "proj_out"),
    same("final_layer.adaLN_modulation.1", "norm_out.linear", swapped=True),
)

_NAMES = Layout(
    marker="single_transformer_blocks.0.proj_mlp",
    names=(
        *BFL_ATTENTION,
        same("double_blocks.#.img_mlp.0", DOUBLE_BLOCK + "ff.net.0.proj"),
        same("double_blocks.#.img_mlp.2", DOUBLE_BLOCK + "ff.net.2"),
        same("double_blocks.#.txt_mlp.0", DOUBLE_BLOCK + "ff_context.net.0.proj"),
        same("double_blocks.#.txt_mlp.2", DOUBLE_BLOCK + "ff_context.net.2"),
        same("double_blocks.#.img_mod.lin", DOUBLE_BLOCK + "norm1.linear"),
        same("double_blocks.#.txt_mod.lin", DOUBLE_BLOCK + "norm1_context.linear"),
        same(
            "single_blocks.#.linear1",
            *_parts(SINGLE_BLOCK + "attn.", _QKV),
            SINGLE_BLOCK + "proj_mlp",
        ),
        same("single_blocks.#.linear2", SINGLE_BLOCK + "proj_out"),
        same("single_blocks.#.modulation.lin", SINGLE_BLOCK + "norm.linear"),
        same("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
        same("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        same("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
        same("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        same("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        same("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
        # XLabs: 1 is the image's stream and 2 the text's.
        same("double_blocks.#.processor.qkv_lora1", *_parts(DOUBLE_BLOCK + "attn.", _QKV)),
        same("double_blocks.#.processor.qkv_lora2", *_parts(DOUBLE_BLOCK + "attn.", _ADDED)),
        same("double_blocks.#.processor.proj_lora1", DOUBLE_BLOCK + "attn.to_out.0"),
        same("double_blocks.#.processor.proj_lora2", DOUBLE_BLOCK + "attn.to_add_out"),
        same("single_blocks.#.processor.qkv", *_parts(SINGLE_BLOCK + "attn.", _QKV)),
        same("single_blocks.#.processor.proj", SINGLE_BLOCK + "proj_out"),
    ),
)

_PIPELINE = PipelineTraits(
    "FluxPipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=True,
    modes=LORA_MODES,
    true_cfg=True,
    sequence=SequenceLength(512, 512),
)
_KONTEXT_SIZES = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248),
    (880, 1184), (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832),
    (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip
"""diffusers' PREFERRED_KONTEXT_RESOLUTIONS: what Kontext was trained with."""

_KONTEXT = PipelineTraits(
    "FluxKontextPipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=True,
    modes=ALL_MODES,
    true_cfg=True,
    sequence=SequenceLength(512, 512),
    max_references=1,
    reference_sizes=_KONTEXT_SIZES,
)

FLUX1 = Traits(
    name=Architecture.FLUX1,
    label="FLUX.1",
    called=r"flux(?![._ -]?[23])",
    words=("flux", "flux.1"),
    ecosystems=("flux1", "fluxkrea", "flux1kontext"),
    variants=((r"schnell", "schnell"), (r"kontext", "kontext"), (r"dev|krea", "dev")),
    alike={"dev": ("kontext",)},
    undecidable={
        None: "FLUX.1 dev, schnell or Kontext: not decidable from this file.",
        "dev": "FLUX.1 dev or Kontext: not decidable from this file.",
    },
    layer_names=(_NAMES.aliases,),
    pipelines=(_PIPELINE, _KONTEXT),
    text_encoders=(
        clip("text_encoder", 12, summary=True),
        TextEncoder("text_encoder_2", "tokenizer_2"),
    ),
    size_multiple=16,
    flow_matching=True,
    block_groups=FLUX_GROUPS,
)
CHROMA = Family(name="chroma", label="Chroma", called=r"chroma")

_FLUX1_MODULATION = (
    r"^(?:double_blocks_\d+_(?:img|txt)_mod_lin|single_blocks_\d+_modulation_lin"
    r"|vector_in_(?:in|out)_layer)$"
)
_MODULATION = (
    r"^transformer_blocks_\d+_norm1(?:_context)?_linear$"
    r"|^single_transformer_blocks_\d+_norm_linear$"
)
_TEXT = r"^time_text_embed_text_embedder_linear_[12]$"
_FLUX1_ENTRY = r"^(?:x|context)_embedder$"
_GUIDANCE_SAYS = (
    "It changes the guidance input, which FLUX.1 dev and Kontext have and schnell has not."
)
_DEV = ((256, "dev"), (3072, "dev"))
_MODULATION_SAYS = "Blocks of 3072 features have their own modulation, as in FLUX.1."

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("chroma",),
        r"^distilled_guidance_layer_",
        "It has a distilled guidance layer, which only Chroma has.",
    ),
    FingerprintRule(
        ("flux1",),
        r"^(?:double|single)_blocks_\d+_processor_(?:qkv|proj)",
        "Attention processors of {reads} features are changed, as XLabs does in FLUX.1.",
        reads=widths_of(3072),
    ),
    FingerprintRule(
        ("flux1",),
        r"^guidance_in_(?:in|out)_layer$",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        variants=_DEV,
    ),
    FingerprintRule(
        ("flux1",),
        r"^time_text_embed_guidance_embedder_",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        needs=_FLUX1_ENTRY,
        variants=_DEV,
    ),
    FingerprintRule(
        ("flux1", "hunyuanvideo"),
        r"^time_text_embed_guidance_embedder_",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        variants=_DEV,
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        ("flux1",),
        _FLUX1_MODULATION,
        _MODULATION_SAYS,
        reads=widths_of(3072, 768),
        gives=widths_of(3072, 9216, 18432),
    ),
    FingerprintRule(
        ("flux1",),
        _TEXT,
        "It embeds the text's summary as FLUX.1 does.",
        reads=widths_of(768, 3072),
        gives=widths_of(3072),
        needs=_FLUX1_ENTRY,
    ),
    FingerprintRule(
        ("flux1", "hunyuanvideo"),
        _TEXT,
        "It embeds the text's summary as FLUX.1 and HunyuanVideo do.",
        reads=widths_of(768, 3072),
        gives=widths_of(3072),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        MODULATED,
        _MODULATION,
        _MODULATION_SAYS,
        reads=widths_of(3072),
        gives=widths_of(9216, 18432),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        FLUX1_ALIKE,
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (7 times), as in FLUX.1.",
        pairs=squares((3072,), 1, 7),
        blocks=(0, 37),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        FLUX1_ALIKE,
        r"^single_blocks_(\d+)_linear2$|" + SINGLE + "proj_out$",
        "Single blocks read {reads} features and give {gives} (5 to 1), as in FLUX.1.",
        pairs=squares((3072,), 5, 1),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        FLUX1_ALIKE,
        SINGLE + r"(?:attn_to_[qkv]|proj_mlp)$",
        "Single blocks of {reads} features have separate attention layers, as in FLUX.1.",
        pairs=squares((3072,), 1, 1) | squares((3072,), 1, 4),
        blocks=(0, 37),
        needs=DOUBLE + "|" + SINGLE + "proj_",
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        (*FLUX1_ALIKE, "auraflow", "flux3"),
        SINGLE + r"attn_to_[qkv]$",
        "Single blocks of {reads} features have separate attention layers, as in FLUX.1.",
        pairs=squares((3072,), 1, 1),
        blocks=(0, 37),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        FLUX1_ALIKE,
        BFL_MLP + "|" + DOUBLE + r"ff(?:_context)?_net_(?:0_proj|2)$",
        "Double blocks read {reads} features and give {gives}, as in FLUX.1.",
        pairs=squares((3072,), 1, 4) | squares((3072,), 4, 1),
        blocks=(0, 18),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
)
