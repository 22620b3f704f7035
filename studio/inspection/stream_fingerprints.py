"""How transformers with two streams are told apart: FLUX.2, Qwen-Image, Chroma, FLUX.1, SD 3.

FLUX.1 and FLUX.2 differ in their single blocks' widths (7 and 5 times the hidden width against
9 and 4), which follows from the layers that each fuses into one.
"""

from studio.inspection.verdict import Rule, squares, widths_of

_DOUBLE = r"^transformer_blocks_(\d+)_"
_DOUBLE_ATTN = _DOUBLE + r"attn_(?:to_[qkv]|add_[qkv]_proj|to_out_0|to_add_out)$"
_SINGLE = r"^single_transformer_blocks_(\d+)_"
_BFL_ATTN = r"^double_blocks_(\d+)_(?:(?:img|txt)_attn_(?:qkv|proj)|processor_.*_lora\d)$"
_BFL_MLP = r"^double_blocks_(\d+)_(?:img|txt)_mlp_[02]$"
_FLUX1_MODULATION = (
    r"^(?:double_blocks_\d+_(?:img|txt)_mod_lin|single_blocks_\d+_modulation_lin"
    r"|vector_in_(?:in|out)_layer)$"
)
_MODULATION = (
    r"^(?:transformer_blocks_\d+_norm1(?:_context)?_linear|single_transformer_blocks_\d+_norm_linear"
    r"|time_text_embed_text_embedder_linear_[12])$"
)
_FLUX1_ENTRY = r"^(?:x|context)_embedder$"
_KLEIN = ((3072, "klein-4b"), (4096, "klein-9b"), (6144, "dev"))


_FLUX1_ALIKE = ("flux1", "chroma", "hunyuanvideo")
"""They have the same blocks; FLUX.1, by far the commonest, is taken and the others are named."""
_FLUX2_HIDDEN = (3072, 4096, 6144)
_GUIDANCE_SAYS = (
    "It changes the guidance input, which FLUX.1 dev and Kontext have and schnell has not."
)
_DEV = ((256, "dev"), (3072, "dev"))
_MODULATION_SAYS = "Blocks of 3072 features have their own modulation, as in FLUX.1."

STREAM_RULES: tuple[Rule, ...] = (
    # FLUX.2: its own layers first, then the shape of the single blocks.
    Rule(
        ("flux2",),
        _SINGLE + "attn_to_qkv_mlp_proj$",
        "Single blocks project {reads} features to {gives} at once (9 times), as in FLUX.2.",
        pairs=squares(_FLUX2_HIDDEN, 1, 9),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (9 times), as in FLUX.2.",
        pairs=squares(_FLUX2_HIDDEN, 1, 9),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear2$|" + _SINGLE + "attn_to_out$",
        "Single blocks read {reads} features and give {gives} (4 to 1), as in FLUX.2.",
        pairs=squares(_FLUX2_HIDDEN, 4, 1),
        variants=tuple((4 * width, name) for width, name in _KLEIN),
    ),
    Rule(
        ("flux2",),
        r"^(?:double_stream_modulation_(?:img|txt)|single_stream_modulation)_",
        "It has one modulation for all blocks, as in FLUX.2.",
        reads=widths_of(*_FLUX2_HIDDEN),
        variants=_KLEIN,
    ),
    Rule(
        ("flux2",),
        _DOUBLE + r"ff(?:_context)?_linear_(?:in|out)$|" + _BFL_MLP,
        "Feed-forward layers read {reads} features and give {gives}, as in FLUX.2.",
        pairs=squares(_FLUX2_HIDDEN, 1, 6) | squares(_FLUX2_HIDDEN, 3, 1),
        variants=(*_KLEIN, *((3 * width, name) for width, name in _KLEIN)),
    ),
    # Qwen-Image: a feed-forward layer and a modulation for each stream.
    Rule(
        ("qwen",),
        _DOUBLE + r"(?:(?:img|txt)_mlp_net_0_proj|(?:img|txt)_mod_1)$",
        "Image and text streams of {reads} features have their own layers, as in Qwen-Image.",
        reads=widths_of(3072),
    ),
    Rule(
        ("qwen",),
        _DOUBLE + r"(?:img|txt)_mlp_net_2$",
        "Image and text streams give {gives} features, as in Qwen-Image.",
        gives=widths_of(3072),
    ),
    Rule(
        ("qwen",),
        _DOUBLE + r"img_mlp_(?:gate_layer|proj)$",
        "Image layers of {reads} features are gated, as in Qwen-Image 2.1.",
        reads=widths_of(4096),
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
        r"^guidance_in_(?:in|out)_layer$",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        variants=_DEV,
    ),
    Rule(
        ("flux1",),
        r"^time_text_embed_guidance_embedder_",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        needs=_FLUX1_ENTRY,
        variants=_DEV,
    ),
    Rule(
        ("flux1", "hunyuanvideo"),
        r"^time_text_embed_guidance_embedder_",
        _GUIDANCE_SAYS,
        gives=widths_of(3072),
        variants=_DEV,
        prefer="flux1",
    ),
    Rule(
        ("flux1",),
        _FLUX1_MODULATION,
        _MODULATION_SAYS,
        reads=widths_of(3072, 768),
        gives=widths_of(3072, 9216, 18432),
    ),
    Rule(
        ("flux1",),
        _MODULATION,
        _MODULATION_SAYS,
        reads=widths_of(3072, 768),
        gives=widths_of(3072, 9216, 18432),
        needs=_FLUX1_ENTRY,
    ),
    Rule(
        ("flux1", "hunyuanvideo"),
        _MODULATION,
        _MODULATION_SAYS,
        reads=widths_of(3072, 768),
        gives=widths_of(3072, 9216, 18432),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_ALIKE,
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (7 times), as in FLUX.1.",
        pairs=squares((3072,), 1, 7),
        blocks=(0, 37),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_ALIKE,
        r"^single_blocks_(\d+)_linear2$|" + _SINGLE + "proj_out$",
        "Single blocks read {reads} features and give {gives} (5 to 1), as in FLUX.1.",
        pairs=squares((3072,), 5, 1),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_ALIKE,
        _SINGLE + r"(?:attn_to_[qkv]|proj_mlp)$",
        "Single blocks of {reads} features have separate attention layers, as in FLUX.1.",
        pairs=squares((3072,), 1, 1) | squares((3072,), 1, 4),
        blocks=(0, 37),
        needs=_DOUBLE + "|" + _SINGLE + "proj_",
        prefer="flux1",
    ),
    Rule(
        (*_FLUX1_ALIKE, "auraflow"),
        _SINGLE + r"attn_to_[qkv]$",
        "Single blocks of {reads} features have separate attention layers, as in FLUX.1.",
        pairs=squares((3072,), 1, 1),
        blocks=(0, 37),
        prefer="flux1",
    ),
    Rule(
        _FLUX1_ALIKE,
        _BFL_MLP + "|" + _DOUBLE + r"ff(?:_context)?_net_(?:0_proj|2)$",
        "Double blocks read {reads} features and give {gives}, as in FLUX.1.",
        pairs=squares((3072,), 1, 4) | squares((3072,), 4, 1),
        blocks=(0, 18),
        prefer="flux1",
    ),
    Rule(
        ("flux2",),
        _BFL_ATTN,
        "Double blocks are {reads} features wide, as in FLUX.2.",
        reads=widths_of(4096, 6144),
        blocks=(0, 7),
        variants=_KLEIN,
    ),
    Rule(
        _FLUX1_ALIKE,
        _BFL_ATTN,
        "There are more than five double blocks of {reads} features, as in FLUX.1.",
        reads=widths_of(3072),
        blocks=(5, 18),
        prefer="flux1",
    ),
    Rule(
        ("flux1", "flux2", "chroma", "hunyuanvideo"),
        _BFL_ATTN,
        "Double blocks are {reads} features wide, as in FLUX.1 and FLUX.2 Klein 4B.",
        reads=widths_of(3072),
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
        reads=widths_of(1536, 2432),
        never=r"^single_transformer_blocks_",
    ),
    Rule(
        ("qwen",),
        _DOUBLE_ATTN,
        "There are more than 20 blocks of {reads} features, as in Qwen-Image.",
        reads=widths_of(3072),
        blocks=(20, 59),
        never=r"^single_",
    ),
    Rule(
        ("hunyuanvideo", "qwen"),
        _DOUBLE_ATTN,
        "There are 20 blocks of {reads} features, as in HunyuanVideo and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(19, 19),
    ),
    Rule(
        ("flux1", "chroma", "hunyuanvideo", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.1 and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(5, 18),
    ),
    Rule(
        ("flux1", "flux2", "chroma", "hunyuanvideo", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.1, FLUX.2 Klein 4B and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(0, 4),
    ),
    Rule(
        ("flux2",),
        _DOUBLE + r"attn_(?:add_[qkv]_proj|to_add_out)$",
        "Blocks with two streams are {reads} features wide, as in FLUX.2.",
        reads=widths_of(4096, 6144),
        blocks=(0, 7),
        variants=_KLEIN,
    ),
    Rule(
        ("qwen",),
        _DOUBLE_ATTN,
        "There are more than eight blocks of {reads} features, as in Qwen-Image 2.1.",
        reads=widths_of(4096),
        blocks=(8, 31),
        variants=((4096, "2.1"),),
    ),
    Rule(
        ("flux2", "qwen"),
        _DOUBLE_ATTN,
        "Blocks of {reads} features, as in FLUX.2 Klein 9B and Qwen-Image 2.1.",
        reads=widths_of(4096),
        blocks=(0, 7),
    ),
)
