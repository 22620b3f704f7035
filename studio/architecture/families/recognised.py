"""Families that no engine here runs, recognised so that they are refused by name.

The layers of most resemble those of a family that runs, so they are told first, by the layers
that only they have. The widths are those of the model classes of diffusers 0.42 at full size;
Anima's names are those of kohya-ss sd-scripts (docs/anima_train_network.md) and of NVIDIA's
Cosmos-Predict 2.
"""

from studio.architecture.family import Family
from studio.architecture.fingerprint import Rule, widths_of

FAMILIES = (
    Family(
        name="sd3", label="Stable Diffusion 3", called=r"(?:sd[-_ ]?v?|stable-diffusion-v?[-_ ]?)3"
    ),
    Family(
        name="wan",
        label="Wan",
        called=r"wan(?![a-z])",
        variants=((r"14b", "14b"), (r"1[._]3b", "1.3b"), (r"5b", "5b")),
    ),
    Family(name="lumina2", label="Lumina 2", called=r"lumina"),
    Family(name="hunyuanvideo", label="HunyuanVideo", called=r"hunyuan[-_ ]?video"),
    Family(name="auraflow", label="AuraFlow", called=r"aura[-_ ]?flow"),
    Family(name="krea2", label="Krea 2", called=r"krea[-_ ]?2"),
    Family(name="anima", label="Anima", called=r"anima(?![a-z])"),
)

_DOUBLE = r"^transformer_blocks_(\d+)_"
_SINGLE = r"^single_transformer_blocks_(\d+)_"

LOOKALIKES: tuple[Rule, ...] = (
    Rule(
        ("hunyuanvideo",),
        r"^double_blocks_\d+_(?:img|txt)_(?:mlp_fc[12]|mod_linear)$"
        r"|^single_blocks_\d+_modulation_linear$"
        r"|^(?:context_embedder|txt_in)_(?:token_refiner|individual_token_refiner)_",
        "The blocks are named as in HunyuanVideo.",
    ),
    Rule(
        ("hunyuanvideo",),
        r"^single_(?:transformer_)?blocks_(\d+)_(?:attn_to_[qkv]|norm_linear|proj_mlp|linear1)$",
        "There are more than 38 single blocks of {reads} features, as in HunyuanVideo.",
        reads=widths_of(3072),
        blocks=(38, 39),
    ),
    Rule(
        ("hunyuanvideo",),
        r"^(?:double_blocks|transformer_blocks)_(\d+)_"
        r"(?:(?:img|txt)_attn_(?:qkv|proj)|ff(?:_context)?_net_0_proj|norm1(?:_context)?_linear)$",
        "There are more than 19 double blocks of {reads} features, as in HunyuanVideo.",
        reads=widths_of(3072),
        blocks=(19, 19),
    ),
    Rule(
        ("auraflow",),
        r"^joint_transformer_blocks_|" + _SINGLE + r"ff_(?:linear_[12]|out_projection)$",
        "The blocks are named as in AuraFlow.",
    ),
    Rule(
        (),
        r"^(?:txt_)?mode_blocks_|^early_stream_modulations_|" + _SINGLE + r"ff_linear_(?:in|out)$",
        "The blocks are named as in FLUX.3.",
    ),
    Rule(
        ("auraflow",),
        _SINGLE + r"attn_to_out_0$",
        "Single blocks of {reads} features have an output layer of their own, as in AuraFlow.",
        reads=widths_of(3072),
    ),
    Rule(
        (),
        r"^time_embed_timestep_embedder_|^caption_projection_\d+_linear$",
        "It embeds the time as Bria and LongCat-Image do, whose blocks are FLUX.1's.",
    ),
    Rule(
        (),
        _SINGLE + r"proj_mlp$",
        "Single blocks of {reads} features are gated, as in Ovis-Image.",
        pairs=frozenset({(3072, 24576)}),
    ),
    Rule(
        ("krea2",),
        r"^text_fusion_|" + _DOUBLE + r"(?:attn_to_gate|ff_(?:gate|up|down))$"
        r"|^blocks_\d+_attn_(?:w[qkvo]|gate)$",
        "The blocks are named as in Krea 2.",
    ),
    Rule(
        ("krea2",),
        _DOUBLE + r"attn_to_[kv]$",
        "Attention reads {reads} features and gives {gives}, as in Krea 2.",
        pairs=frozenset({(6144, 1536)}),
    ),
    Rule(
        ("krea2",),
        _DOUBLE + r"attn_to_(?:q|out_0)$",
        "There are more than eight blocks of {reads} features, as in Krea 2.",
        reads=widths_of(6144),
        blocks=(8, 27),
    ),
    Rule(
        ("flux2", "krea2"),
        _DOUBLE + r"attn_to_(?:q|out_0)$",
        "Blocks of {reads} features, as in FLUX.2 dev and Krea 2.",
        reads=widths_of(6144),
        blocks=(0, 7),
        never=r"^single_transformer_blocks_|_add_[qkv]_proj$|_to_add_out$|_ff_",
    ),
    Rule(
        ("anima",),
        r"^llm_adapter_|^blocks_\d+_(?:(?:self|cross)_attn_(?:[qkv]_proj|output_proj)"
        r"|mlp_layer[12]|adaln_modulation_\w+)$",
        "The blocks are named as in Anima, which is built on Cosmos-Predict 2.",
    ),
)

ONE_STREAM: tuple[Rule, ...] = (
    Rule(
        ("lumina2",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|attn|feed_forward)_",
        "Layers are {reads} features wide, as in Lumina 2.",
        reads=widths_of(2304, 9216),
    ),
    Rule(
        ("wan",),
        r"^blocks_(\d+)_(?:(?:self|cross)_attn_(?:[qkvo]|[kv]_img)"
        r"|attn[12]_(?:to_[qkv]|to_out_0|add_[kv]_proj)|ffn_0|ffn_net_0_proj)$",
        "Blocks are {reads} features wide, as in Wan.",
        reads=widths_of(1536, 3072, 5120),
        variants=((1536, "1.3b"), (3072, "5b"), (5120, "14b")),
    ),
)
