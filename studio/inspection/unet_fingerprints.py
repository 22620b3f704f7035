"""How U-Nets are told apart: by what attention reads, and how deep it is."""

from studio.inspection.verdict import Rule, widths_of

_UNET = r"^(?:down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_"
_CROSS = _UNET + r".*attn2_to_[kv]$"
_SELF = _UNET + r".*(?:attn1_to_[qkv]|attn2_to_q)$"
_CROSS_SAYS = "Cross-attention reads {reads} features, as in "

UNET_RULES: tuple[Rule, ...] = (
    # U-Nets: what cross-attention reads is the width of the text encoders.
    Rule(("mini",), _CROSS, _CROSS_SAYS + "Mini.", reads=widths_of(128)),
    Rule(("sd15",), _CROSS, _CROSS_SAYS + "Stable Diffusion 1.5.", reads=widths_of(768)),
    Rule(("sd2",), _CROSS, _CROSS_SAYS + "Stable Diffusion 2.", reads=widths_of(1024)),
    Rule(("sdxl",), _CROSS, _CROSS_SAYS + "SDXL.", reads=widths_of(2048)),
    Rule((), _CROSS, "Cross-attention reads {reads} features, as in no family known here."),
    Rule(
        ("sdxl",),
        _UNET + r".*transformer_blocks_[2-9]_.*",
        "Attention is more than two blocks deep at {reads} features, which only SDXL's is.",
        reads=widths_of(640, 1280, 2048, 2560, 5120),
    ),
    Rule(
        ("sdxl",),
        r"^(?:up_blocks_0_attentions|output_blocks_[012]_1)_.*attn1_to_[qkv]$",
        "The deepest up block has attention of {reads} features, which only SDXL's has.",
        reads=widths_of(1280),
    ),
    Rule(
        ("sd15", "sd2"),
        r"^(?:down_blocks_0|up_blocks_3)_attentions_.*attn[12]_to_q$",
        "Attention starts at {reads} features, as in Stable Diffusion 1.5 and 2.",
        reads=widths_of(320),
    ),
    Rule(("mini",), _SELF, "Attention reads {reads} features, as in Mini.", widths_of(64, 128)),
    Rule(
        ("sd15", "sd2", "sdxl"),
        _SELF,
        "Attention reads {reads} features, as in several U-Nets.",
        reads=widths_of(320, 640, 1280),
    ),
    Rule(
        ("mini", "sd15", "sd2", "sdxl", "sdxl-refiner"),
        _UNET,
        "The layers are named as in a U-Net, and none of them tells which.",
    ),
)
