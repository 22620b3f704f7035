"""How transformers with two streams are told apart where they have the same layers.

FLUX.1 and FLUX.2 differ in their single blocks' widths (7 and 5 times the hidden width against
9 and 4), which follows from the layers that each fuses into one; Qwen-Image and Stable
Diffusion 3 have no single blocks. Attention alone leaves much open.
"""

from studio.architecture.family import ModelPart
from studio.architecture.fingerprint import FingerprintRule, widths_of

FLUX_GROUPS = (
    ModelPart("double", "double blocks", r"transformer_blocks\."),
    ModelPart("single", "single blocks", r"single_transformer_blocks\."),
)
STREAMS = (
    ModelPart(
        "context",
        "text's stream",
        r"context_embedder|transformer_blocks\.\d+\.(?:attn\.(?:add_[qkv]_proj|to_add_out)"
        r"|ff_context|norm1_context|txt_)",
    ),
    ModelPart("image", "image's stream", r"transformer_blocks\."),
)
"""Of transformers whose every block has both."""
DOUBLE = r"^transformer_blocks_(\d+)_"
SINGLE = r"^single_transformer_blocks_(\d+)_"
BFL_MLP = r"^double_blocks_(\d+)_(?:img|txt)_mlp_[02]$"
KLEIN = ((3072, "klein-4b"), (4096, "klein-9b"), (6144, "dev"))
"""FLUX.2's hidden width → variant."""
MODULATED = ("flux1", "hunyuanvideo", "motif", "bria", "longcat", "ovis")
"""They have FLUX.1's blocks, each with its own modulation."""
FLUX1_ALIKE = ("flux1", "chroma", *MODULATED[1:])
"""They have the same blocks; FLUX.1, by far the commonest, is taken where a file changes all of
its blocks, and the others are named."""
FLUX1_DEPTH = (
    (r"(?:double|transformer)_blocks_(\d+)_", 19),
    (r"single_(?:transformer_)?blocks_(\d+)_", 38),
)
DOUBLE_ATTENTION = DOUBLE + r"attn_(?:to_[qkv]|add_[qkv]_proj|to_out_0|to_add_out)$"
_BFL = r"^double_blocks_(\d+)_(?:(?:img|txt)_attn_(?:qkv|proj)|processor_.*_lora\d)$"

BFL_ATTENTION: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("flux2",),
        _BFL,
        "Double blocks are {reads} features wide, as in FLUX.2.",
        reads=widths_of(4096, 6144),
        blocks=(0, 7),
        variants=KLEIN,
    ),
    FingerprintRule(
        FLUX1_ALIKE,
        _BFL,
        "There are more than five double blocks of {reads} features, as in FLUX.1.",
        reads=widths_of(3072),
        blocks=(5, 18),
        prefer="flux1",
        depth=FLUX1_DEPTH,
    ),
    FingerprintRule(
        ("flux2", *FLUX1_ALIKE),
        _BFL,
        "Double blocks are {reads} features wide, as in FLUX.1 and FLUX.2 Klein 4B.",
        reads=widths_of(3072),
        blocks=(0, 4),
    ),
)

ATTENTION: tuple[FingerprintRule, ...] = (
    # Blocks with two streams and no single blocks; attention alone leaves much open.
    FingerprintRule(
        ("qwen",),
        DOUBLE_ATTENTION,
        "There are more than 20 blocks of {reads} features, as in Qwen-Image.",
        reads=widths_of(3072),
        blocks=(20, 59),
        never=r"^single_",
    ),
    FingerprintRule(
        ("hunyuanvideo", "motif", "qwen"),
        DOUBLE_ATTENTION,
        "There are 20 blocks of {reads} features, as in HunyuanVideo, Motif-Video and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(19, 19),
    ),
    FingerprintRule(
        (*FLUX1_ALIKE, "qwen"),
        DOUBLE_ATTENTION,
        "Blocks of {reads} features, as in FLUX.1 and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(5, 18),
    ),
    FingerprintRule(
        ("flux2", *FLUX1_ALIKE, "qwen"),
        DOUBLE_ATTENTION,
        "Blocks of {reads} features, as in FLUX.1, FLUX.2 Klein 4B and Qwen-Image.",
        reads=widths_of(3072),
        blocks=(0, 4),
    ),
    FingerprintRule(
        ("flux2",),
        DOUBLE + r"attn_(?:add_[qkv]_proj|to_add_out)$",
        "Blocks with two streams are {reads} features wide, as in FLUX.2.",
        reads=widths_of(4096, 6144),
        blocks=(0, 7),
        variants=KLEIN,
    ),
    FingerprintRule(
        ("qwen",),
        DOUBLE_ATTENTION,
        "There are more than eight blocks of {reads} features, as in Qwen-Image 2.1.",
        reads=widths_of(4096),
        blocks=(8, 31),
        variants=((4096, "2.1"),),
    ),
    FingerprintRule(
        ("flux2", "qwen"),
        DOUBLE_ATTENTION,
        "Blocks of {reads} features, as in FLUX.2 Klein 9B and Qwen-Image 2.1.",
        reads=widths_of(4096),
        blocks=(0, 7),
    ),
)
