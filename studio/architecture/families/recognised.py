"""Families that no engine here runs, recognised so that they are refused by name.

The layers of most resemble those of a family that runs, so they are told first, by the layers
that only they have. The widths are those of the model classes of diffusers 0.42 at full size;
Anima's names are those of kohya-ss sd-scripts (docs/anima_train_network.md) and of NVIDIA's
Cosmos-Predict 2.
"""

from studio.architecture.family import Family
from studio.architecture.fingerprint import FingerprintRule, widths_of

FAMILIES = (
    Family(
        name="wan",
        label="Wan",
        called=r"wan(?![a-z])",
        variants=((r"14b", "14b"), (r"1[._]3b", "1.3b"), (r"5b", "5b")),
    ),
    Family(name="lumina2", label="Lumina 2", called=r"lumina"),
    Family(
        name="hunyuanvideo",
        label="HunyuanVideo",
        called=r"hunyuan[-_ ]?video(?![-_ ]?1[._]?5)|framepack",
    ),
    Family(
        name="hunyuanvideo15",
        label="HunyuanVideo 1.5",
        called=r"hunyuan[-_ ]?video[-_ ]?1[._]?5",
    ),
    Family(name="hunyuanimage", label="HunyuanImage", called=r"hunyuan[-_ ]?image"),
    Family(name="motif", label="Motif-Video", called=r"motif"),
    Family(name="bria", label="Bria", called=r"bria|fibo"),
    Family(name="longcat", label="LongCat-Image", called=r"longcat[-_ ]?image"),
    Family(name="ovis", label="Ovis-Image", called=r"ovis[-_ ]?image"),
    Family(name="cosmos", label="Cosmos-Predict 2", called=r"cosmos"),
    Family(name="flux3", label="FLUX.3", called=r"flux[._ -]?3"),
    Family(name="auraflow", label="AuraFlow", called=r"aura[-_ ]?flow"),
    Family(name="krea2", label="Krea 2", called=r"krea[-_ ]?2"),
    Family(name="anima", label="Anima", called=r"anima(?![a-z])"),
)

_DOUBLE = r"^transformer_blocks_(\d+)_"
_SINGLE = r"^single_transformer_blocks_(\d+)_"

_COSMOS = (
    r"^blocks_\d+_(?:(?:self|cross)_attn_(?:[qkv]_proj|output_proj)"
    r"|mlp_layer[12]|adaln_modulation_\w+)$"
)
_HUNYUAN = (
    r"^double_blocks_\d+_(?:img|txt)_(?:mlp_fc[12]|mod_linear)$"
    r"|^single_blocks_\d+_modulation_linear$"
    r"|^(?:context_embedder|txt_in)_(?:token_refiner|individual_token_refiner)_"
)


def _hunyuan(name: str, label: str, width: int) -> FingerprintRule:
    says = f"The blocks are named as in {label}, and are {width} features wide."
    return FingerprintRule((name,), _HUNYUAN, says, reads=widths_of(width, 4 * width))


LOOKALIKES: tuple[FingerprintRule, ...] = (
    _hunyuan("hunyuanvideo", "HunyuanVideo", 3072),
    _hunyuan("hunyuanvideo15", "HunyuanVideo 1.5", 2048),
    _hunyuan("hunyuanimage", "HunyuanImage", 3584),
    FingerprintRule(
        (), _HUNYUAN, "The blocks are named as in HunyuanVideo, and are {reads} features wide."
    ),
    FingerprintRule(
        ("hunyuanvideo", "motif"),
        r"^single_(?:transformer_)?blocks_(\d+)_(?:attn_to_[qkv]|norm_linear|proj_mlp|linear1)$",
        "There are over 38 single blocks of {reads} features, as in HunyuanVideo and Motif-Video.",
        reads=widths_of(3072),
        blocks=(38, 39),
    ),
    FingerprintRule(
        ("hunyuanvideo", "motif"),
        r"^(?:double_blocks|transformer_blocks)_(\d+)_"
        r"(?:(?:img|txt)_attn_(?:qkv|proj)|ff(?:_context)?_net_0_proj|norm1(?:_context)?_linear)$",
        "There are over 19 double blocks of {reads} features, as in HunyuanVideo and Motif-Video.",
        reads=widths_of(3072),
        blocks=(19, 19),
    ),
    FingerprintRule(
        ("auraflow",),
        r"^joint_transformer_blocks_|" + _SINGLE + r"ff_(?:linear_[12]|out_projection)$",
        "The blocks are named as in AuraFlow.",
    ),
    FingerprintRule(
        ("flux3",),
        r"^(?:txt_)?mode_blocks_|^early_stream_modulations_|" + _SINGLE + r"ff_linear_(?:in|out)$",
        "The blocks are named as in FLUX.3.",
    ),
    FingerprintRule(
        ("auraflow", "flux3"),
        _SINGLE + r"attn_to_out_0$",
        "Single blocks of {reads} features have an output layer, as in AuraFlow and FLUX.3.",
        reads=widths_of(3072),
    ),
    FingerprintRule(
        ("bria",),
        r"^caption_projection_\d+_linear$",
        "It projects captions of {reads} features for each block, as Bria's FIBO does.",
        pairs=frozenset({(2048, 1536)}),
    ),
    FingerprintRule(
        ("longcat",),
        r"^context_embedder$",
        "The text is {reads} features wide, as in LongCat-Image.",
        pairs=frozenset({(3584, 3072)}),
    ),
    FingerprintRule(
        ("bria", "longcat"),
        r"^time_embed_timestep_embedder_",
        "It embeds the time as Bria and LongCat-Image do, whose blocks are FLUX.1's.",
        gives=widths_of(3072),
    ),
    FingerprintRule(
        ("ovis",),
        _SINGLE + r"proj_mlp$|" + _DOUBLE + r"ff(?:_context)?_net_0_proj$",
        "Blocks of {reads} features are gated, as in Ovis-Image.",
        pairs=frozenset({(3072, 24576)}),
    ),
    FingerprintRule(
        ("auraflow", "ovis"),
        r"^context_embedder$",
        "The text is {reads} features wide, as in AuraFlow and Ovis-Image.",
        pairs=frozenset({(2048, 3072)}),
    ),
    FingerprintRule(
        ("krea2",),
        r"^text_fusion_|" + _DOUBLE + r"(?:attn_to_gate|ff_(?:gate|up|down))$"
        r"|^blocks_\d+_attn_(?:w[qkvo]|gate)$",
        "The blocks are named as in Krea 2.",
    ),
    FingerprintRule(
        ("krea2",),
        _DOUBLE + r"attn_to_[kv]$",
        "Attention reads {reads} features and gives {gives}, as in Krea 2.",
        pairs=frozenset({(6144, 1536)}),
    ),
    FingerprintRule(
        ("krea2",),
        _DOUBLE + r"attn_to_(?:q|out_0)$",
        "There are more than eight blocks of {reads} features, as in Krea 2.",
        reads=widths_of(6144),
        blocks=(8, 27),
    ),
    FingerprintRule(
        ("flux2", "krea2"),
        _DOUBLE + r"attn_to_(?:q|out_0)$",
        "Blocks of {reads} features, as in FLUX.2 dev and Krea 2.",
        reads=widths_of(6144),
        blocks=(0, 7),
        never=r"^single_transformer_blocks_|_add_[qkv]_proj$|_to_add_out$|_ff_",
    ),
    FingerprintRule(("anima",), r"^llm_adapter_", "It adapts a language model, as Anima does."),
    FingerprintRule(
        ("anima",),
        _COSMOS,
        "The blocks are named as in Anima, which is built on Cosmos-Predict 2.",
        reads=widths_of(2048, 8192, 1024, 256),
    ),
    FingerprintRule(
        ("cosmos",),
        _COSMOS,
        "Blocks of {reads} features are named as in Cosmos-Predict 2.",
    ),
)

ONE_STREAM: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("lumina2",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|attn|feed_forward)_",
        "Layers are {reads} features wide, as in Lumina 2.",
        reads=widths_of(2304, 9216),
    ),
    FingerprintRule(
        ("wan",),
        r"^blocks_(\d+)_(?:(?:self|cross)_attn_(?:[qkvo]|[kv]_img)"
        r"|attn[12]_(?:to_[qkv]|to_out_0|add_[kv]_proj)|ffn_0|ffn_net_0_proj)$",
        "Blocks are {reads} features wide, as in Wan.",
        reads=widths_of(1536, 3072, 5120),
        variants=((1536, "1.3b"), (3072, "5b"), (5120, "14b")),
    ),
)
