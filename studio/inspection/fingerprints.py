"""How each family's layers are told apart: one table of rules, the first that holds wins.

Names are compared flattened (dots as underscores), so that kohya's and diffusers' spellings
of one layer are one name. Widths are what a layer reads and gives. The numbers come from the
model classes of diffusers 0.42 at full size and from Black Forest Labs' original layouts;
tests/inspection/test_inspection.py builds them anew from the classes.
"""

from studio.inspection.strangers import STRANGERS
from studio.inspection.stream_fingerprints import STREAM_RULES
from studio.inspection.unet_fingerprints import UNET_RULES
from studio.inspection.verdict import Rule, widths_of

_SINGLE_STREAM_RULES: tuple[Rule, ...] = (
    Rule(
        ("zimage",),
        r"^(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|feed_forward_w[123])",
        "Layers are {reads} features wide, as in Z-Image.",
        reads=widths_of(3840, 10240),
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

RULES: tuple[Rule, ...] = (*STRANGERS, *UNET_RULES, *STREAM_RULES, *_SINGLE_STREAM_RULES)
"""In the order of precedence: what only one family has comes before what several share."""

_TEXT = r"(?:text_model_)?encoder_layers_\d+_(?:self_attn_\w+|mlp_fc1)$"

TEXT_RULES: tuple[Rule, ...] = (
    *STRANGERS,
    Rule(
        ("mini",),
        r"^(?:lora_te1?_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as in Mini.",
        reads=widths_of(128),
    ),
    Rule(
        ("sdxl", "sd3"),
        r"^(?:lora_te2_|text_encoder_2_)" + _TEXT,
        "The second text encoder is {reads} wide, as in SDXL and Stable Diffusion 3.",
        reads=widths_of(1280),
    ),
    Rule(
        ("sd15",),
        r"^lora_te_" + _TEXT,
        "There is one text encoder, {reads} wide, as in Stable Diffusion 1.5.",
        reads=widths_of(768),
    ),
    Rule(
        ("sd2",),
        r"^(?:lora_te_|text_encoder_)" + _TEXT,
        "The text encoder is {reads} wide, as in Stable Diffusion 2.",
        reads=widths_of(1024),
    ),
    Rule(
        ("sd15", "sdxl", "sd3", "flux1"),
        r"^(?:lora_te1_|text_encoder_|)" + _TEXT,
        "The text encoder is {reads} wide, as the first one of several families is.",
        reads=widths_of(768),
    ),
)
"""For files that change no denoiser; a name starts with the prefix the file gives it."""
