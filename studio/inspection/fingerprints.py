"""How each family's layers are told apart: one table of rules, the first that holds wins.

Names are compared flattened (dots as underscores), so that kohya's and diffusers' spellings
of one layer are one name. Widths are what a layer reads and gives. The numbers come from the
model classes of diffusers 0.42 at full size and from Black Forest Labs' original layouts;
tests/test_inspection.py builds them anew from the classes.
"""

from collections.abc import Iterable

from studio.inspection.verdict import Rule

_UNET = r"^(?:down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_"
_CROSS = _UNET + r".*attn2_to_[kv]$"
_SELF = _UNET + r".*(?:attn1_to_[qkv]|attn2_to_q)$"
_DOUBLE = r"^transformer_blocks_(\d+)_"
_DOUBLE_ATTN = _DOUBLE + r"attn_(?:to_[qkv]|add_[qkv]_proj|to_out_0|to_add_out)$"
_SINGLE = r"^single_transformer_blocks_(\d+)_"
_BFL_ATTN = r"^double_blocks_(\d+)_(?:(?:img|txt)_attn_(?:qkv|proj)|processor_.*_lora\d)$"
_BFL_MLP = r"^double_blocks_(\d+)_(?:img|txt)_mlp_[02]$"
_FLUX1_MODULATION = (
    r"^(?:double_blocks_\d+_(?:img|txt)_mod_lin|single_blocks_\d+_modulation_lin"
    r"|transformer_blocks_\d+_norm1(?:_context)?_linear|single_transformer_blocks_\d+_norm_linear"
    r"|time_text_embed_text_embedder_linear_[12]|vector_in_(?:in|out)_layer)$"
)
_KLEIN = ((3072, "klein-4b"), (4096, "klein-9b"), (6144, "dev"))


def _widths(*values: int) -> frozenset[int]:
    return frozenset(values)


def _squares(hidden: Iterable[int], reads: int, gives: int) -> frozenset[tuple[int, int]]:
    return frozenset((reads * width, gives * width) for width in hidden)


_FLUX1_OR_CHROMA = ("flux1", "chroma")
"""Chroma has FLUX.1's blocks; FLUX.1 is taken unless the file says Chroma."""
_CROSS_SAYS = "Cross-attention reads {reads} features, as in "
_FLUX2_HIDDEN = (3072, 4096, 6144)

RULES: tuple[Rule, ...] = (
    # U-Nets: what cross-attention reads is the width of the text encoders.
    Rule(("mini",), _CROSS, _CROSS_SAYS + "Mini.", reads=_widths(128)),
    Rule(("sd15",), _CROSS, _CROSS_SAYS + "Stable Diffusion 1.5.", reads=_widths(768)),
    Rule(("sd2",), _CROSS, _CROSS_SAYS + "Stable Diffusion 2.", reads=_widths(1024)),
    Rule(("sdxl",), _CROSS, _CROSS_SAYS + "SDXL.", reads=_widths(2048)),
    Rule((), _CROSS, _CROSS_SAYS + "SDXL's refiner.", reads=_widths(1280)),
    Rule((), _CROSS, "Cross-attention reads {reads} features, as in no family known here."),
    Rule(
        ("sdxl",),
        _UNET + r".*transformer_blocks_[2-9]_.*",
        "Attention is more than two blocks deep, which only SDXL's is.",
    ),
    Rule(
        ("sdxl",),
        r"^(?:up_blocks_0_attentions|output_blocks_[012]_1)_.*attn1_to_[qkv]$",
        "The deepest up block has attention of {reads} features, which only SDXL's has.",
        reads=_widths(1280),
    ),
    Rule(
        ("sd15", "sd2"),
        r"^(?:down_blocks_0|up_blocks_3)_attentions_.*attn[12]_to_q$",
        "Attention starts at {reads} features, as in Stable Diffusion 1.5 and 2.",
        reads=_widths(320),
    ),
    Rule(("mini",), _SELF, "Attention reads {reads} features, as in Mini.", _widths(64, 128)),
    Rule(
        ("sd15", "sd2", "sdxl"),
        _SELF,
        "Attention reads {reads} features, as in several U-Nets.",
        reads=_widths(320, 640, 1280),
    ),
    Rule(
        ("mini", "sd15", "sd2", "sdxl"),
        _UNET,
        "The layers are named as in a U-Net, and none of them tells which.",
    ),
    # HunyuanVideo spells its blocks as FLUX.1 does, but for these.
    Rule(
        (),
        r"^double_blocks_\d+_(?:img|txt)_(?:mlp_fc[12]|mod_linear)$"
        r"|^single_blocks_\d+_modulation_linear$",
        "The blocks are named as in HunyuanVideo.",
    ),
    # FLUX.2: its own layers first, then the shape of the single blocks.
    Rule(
        ("flux2",),
        _SINGLE + "attn_to_qkv_mlp_proj$",
        "Single blocks project {reads} features to {gives} at once (9 times), as in FLUX.2.",
        pairs=_squares(_FLUX2_HIDDEN, 1, 9),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (9 times), as in FLUX.2.",
        pairs=_squares(_FLUX2_HIDDEN, 1, 9),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear2$|" + _SINGLE + "attn_to_out$",
        "Single blocks read {reads} features and give {gives} (4 to 1), as in FLUX.2.",
        pairs=_squares(_FLUX2_HIDDEN, 4, 1),
        variants=tuple((4 * width, name) for width, name in _KLEIN),
    ),
    Rule(
        ("flux2",),
        r"^(?:double_stream_modulation_(?:img|txt)|single_stream_modulation)_",
        "It has one modulation for all blocks, as in FLUX.2.",
        reads=_widths(*_FLUX2_HIDDEN),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        _DOUBLE + r"ff(?:_context)?_linear_(?:in|out)$|" + _BFL_MLP,
        "Feed-forward layers read {reads} features and give {gives}, as in FLUX.2.",
        pairs=_squares(_FLUX2_HIDDEN, 1, 6) | _squares(_FLUX2_HIDDEN, 3, 1),
        variants=(*_KLEIN, *((3 * width, name) for width, name in _KLEIN)),
    ),
    # Qwen-Image: a feed-forward layer and a modulation for each stream.
    Rule(
        ("qwen",),
        _DOUBLE + r"(?:(?:img|txt)_mlp_net_0_proj|(?:img|txt)_mod_1)$",
        "Image and text streams of {reads} features have their own layers, as in Qwen-Image.",
        reads=_widths(3072),
    ),
    Rule(
        ("qwen",),
        _DOUBLE + r"(?:img|txt)_mlp_net_2$",
        "Image and text streams give {gives} features, as in Qwen-Image.",
        gives=_widths(3072),
    ),
    Rule(
        ("qwen",),
        _DOUBLE + r"img_mlp_(?:gate_layer|proj)$",
        "Image layers of {reads} features are gated, as in Qwen-Image 2.1.",
        reads=_widths(4096),
        variants=((4096, "2.1"),),
    ),
    # Chroma and FLUX.1: the same blocks; Chroma has one guidance layer for all modulation.
    Rule(
        ("chroma",),
        r"^distilled_guidance_layer_",
        "It has a distilled guidance layer, which only Chroma has.",
    ),
    Rule(
        ("flux1",),
        r"^(?:guidance_in|time_text_embed_guidance_embedder)_",
        "It changes the guidance input, which FLUX.1 dev has and schnell has not.",
        gives=_widths(3072),
        variants=((256, "dev"), (3072, "dev")),
    ),
    Rule(
        ("flux1",),
        _FLUX1_MODULATION,
        "Blocks of 3072 features have their own modulation, as in FLUX.1.",
        reads=_widths(3072, 768),
        gives=_widths(3072, 9216, 18432),
    ),
    Rule(
        _FLUX1_OR_CHROMA,
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (7 times), as in FLUX.1.",
        pairs=_squares((3072,), 1, 7),
        blocks=(0, 37),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_OR_CHROMA,
        r"^single_blocks_(\d+)_linear2$|" + _SINGLE + "proj_out$",
        "Single blocks read {reads} features and give {gives} (5 to 1), as in FLUX.1.",
        pairs=_squares((3072,), 5, 1),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_OR_CHROMA,
        _SINGLE + r"(?:attn_to_[qkv]|proj_mlp)$",
        "Single blocks of {reads} features have separate attention layers, as in FLUX.1.",
        reads=_widths(3072),
        blocks=(0, 37),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_OR_CHROMA,
        _BFL_MLP + "|" + _DOUBLE + r"ff(?:_context)?_net_(?:0_proj|2)$",
        "Double blocks read {reads} features and give {gives}, as in FLUX.1.",
        pairs=_squares((3072,), 1, 4) | _squares((3072,), 4, 1),
        blocks=(0, 18),
        prefer="flux1",
    ),
    Rule(
        ("flux2",),
        _BFL_ATTN,
        "Double blocks are {reads} features wide, as in FLUX.2.",
        reads=_widths(4096, 6144),
        blocks=(0, 7),
        variants=_KLEIN,
    ),
    Rule(
        _FLUX1_OR_CHROMA,
        _BFL_ATTN,
        "There are more than five double blocks of {reads} features, as in FLUX.1.",
        reads=_widths(3072),
        blocks=(5, 18),
        prefer="flux1",
    ),
    Rule(
        ("flux1", "flux2", "chroma"),
        _BFL_ATTN,
        "Double blocks are {reads} features wide, as in FLUX.1 and FLUX.2 Klein 4B.",
        reads=_widths(3072),
        blocks=(0, 4),
    ),
    # Blocks with two streams and no single blocks; attention alone leaves much open.
    Rule(
        ("sd3",),
        r"^joint_blocks_(\d+)_(?:x_block|context_block)_",
        "It has joint blocks, as in Stable Diffusion 3.",
    ),
    Rule(
        ("sd3",),
        _DOUBLE_ATTN,
        "Blocks with two streams are {reads} features wide, as in Stable Diffusion 3.",
        reads=_widths(1536, 2432),
        never=r"^single_transformer_blocks_",
    ),
    Rule(
        ("qwen",),
        _DOUBLE_ATTN,
        "There are more than 19 blocks of {reads} features, as in Qwen-Image.",
        reads=_widths(3072),
        blocks=(19, 59),
        never=r"^single_",
    ),
    Rule(
        ("flux1", "chroma", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.1 and Qwen-Image.",
        reads=_widths(3072),
        blocks=(5, 18),
    ),
    Rule(
        ("flux1", "flux2", "chroma", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.1, FLUX.2 Klein 4B and Qwen-Image.",
        reads=_widths(3072),
        blocks=(0, 4),
    ),
    Rule(
        ("flux2",),
        _DOUBLE + r"attn_(?:add_[qkv]_proj|to_add_out)$",
        "Blocks with two streams are {reads} features wide, as in FLUX.2.",
        reads=_widths(4096, 6144),
        blocks=(0, 7),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.2 Klein 9B and Qwen-Image 2.1.",
        reads=_widths(4096),
        blocks=(0, 31),
    ),
    # Single-stream transformers.
    Rule(
        ("zimage",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|feed_forward_w[123])",
        "Layers are {reads} features wide, as in Z-Image.",
        reads=_widths(3840, 10240),
    ),
    Rule(
        ("zimage",),
        r"^(?:layers|noise_refiner)_\d+_adaLN_modulation_[01]$",
        "Modulation gives {gives} features, as in Z-Image.",
        pairs=frozenset({(256, 15360)}),
    ),
    Rule(
        ("lumina2",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|attn|feed_forward)_",
        "Layers are {reads} features wide, as in Lumina 2.",
        reads=_widths(2304, 9216),
    ),
    Rule(
        ("wan",),
        r"^blocks_(\d+)_(?:(?:self|cross)_attn_(?:[qkvo]|[kv]_img)"
        r"|attn[12]_(?:to_[qkv]|to_out_0|add_[kv]_proj)|ffn_0|ffn_net_0_proj)$",
        "Blocks are {reads} features wide, as in Wan.",
        reads=_widths(1536, 3072, 5120),
        variants=((1536, "1.3b"), (3072, "5b"), (5120, "14b")),
    ),
)

_TEXT = r"(?:text_model_)?encoder_layers_\d+_(?:self_attn_\w+|mlp_fc1)$"

TEXT_RULES: tuple[Rule, ...] = (
    Rule(
        ("mini",),
        r"^(?:lora_te1?_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as in Mini.",
        reads=_widths(128),
    ),
    Rule(
        ("sdxl", "sd3"),
        r"^(?:lora_te2_|text_encoder_2_)" + _TEXT,
        "The second text encoder is {reads} wide, as in SDXL and Stable Diffusion 3.",
        reads=_widths(1280),
    ),
    Rule(
        ("sd15",),
        r"^lora_te_" + _TEXT,
        "There is one text encoder, {reads} wide, as in Stable Diffusion 1.5.",
        reads=_widths(768),
    ),
    Rule(
        ("sd2",),
        r"^(?:lora_te_|text_encoder_)" + _TEXT,
        "The text encoder is {reads} wide, as in Stable Diffusion 2.",
        reads=_widths(1024),
    ),
    Rule(
        ("sd15", "sdxl", "sd3", "flux1"),
        r"^(?:lora_te1_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as the first one of several families is.",
        reads=_widths(768),
    ),
)
"""For files that change no denoiser; a name starts with the prefix the file gives it."""
