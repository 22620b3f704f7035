"""FLUX.2: dev, and Klein of two sizes.

diffusers' conversion of FLUX.2 LoRAs forgets that the two halves of the last layer's modulation
change places, so a LoRA on that layer comes out otherwise here than through diffusers.
"""

from studio.architecture.families.flux1 import BFL_ATTENTION, DOUBLE_BLOCK, SINGLE_BLOCK
from studio.architecture.families.two_streams import BFL_MLP, DOUBLE, FLUX_GROUPS, KLEIN, SINGLE
from studio.architecture.family import TextEncoder, Traits
from studio.architecture.fingerprint import FingerprintRule, squares, widths_of
from studio.architecture.layer_names import Layout, same
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import ALL_MODES, Chat, PipelineTraits, SequenceLength

_NAMES = Layout(
    marker="double_stream_modulation_img.linear",
    names=(
        *BFL_ATTENTION,
        same("double_blocks.#.img_mlp.0", DOUBLE_BLOCK + "ff.linear_in"),
        same("double_blocks.#.img_mlp.2", DOUBLE_BLOCK + "ff.linear_out"),
        same("double_blocks.#.txt_mlp.0", DOUBLE_BLOCK + "ff_context.linear_in"),
        same("double_blocks.#.txt_mlp.2", DOUBLE_BLOCK + "ff_context.linear_out"),
        same("single_blocks.#.linear1", SINGLE_BLOCK + "attn.to_qkv_mlp_proj"),
        same("single_blocks.#.linear2", SINGLE_BLOCK + "attn.to_out"),
        same("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
        same("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
        same("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
        same("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
        same("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
        same("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
        same("single_stream_modulation.lin", "single_stream_modulation.linear"),
    ),
)

_SYSTEM_MESSAGE = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing "
    "on object relationships, object\nattribution and actions without speculation."
)
"""diffusers.pipelines.flux2.system_messages.SYSTEM_MESSAGE."""

_DEV = PipelineTraits(
    "Flux2Pipeline",
    GuidanceKind.DISTILLED,
    negative_prompt=False,
    modes=ALL_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(system=_SYSTEM_MESSAGE, answer=False),
    max_references=4,
)
_KLEIN = PipelineTraits(
    "Flux2KleinPipeline",
    GuidanceKind.CFG,
    negative_prompt=False,
    modes=ALL_MODES,
    sequence=SequenceLength(512, 512),
    frame=Chat(thinking=False),
    max_references=4,
)

FLUX2 = Traits(
    name=Architecture.FLUX2,
    label="FLUX.2",
    called=r"flux[._ -]?2",
    words=("flux.2",),
    ecosystems=("flux2",),
    variants=(
        (r"klein.*4b|4b.*klein", "klein-4b"),
        (r"klein.*9b|9b.*klein", "klein-9b"),
        (r"dev", "dev"),
    ),
    undecidable={
        "klein-4b": "Klein 4B, base or distilled: not decidable from this file.",
        "klein-9b": "Klein 9B, base or distilled: not decidable from this file.",
    },
    layer_names=(_NAMES.aliases,),
    pipelines=(_DEV, _KLEIN),
    text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
    size_multiple=16,
    flow_matching=True,
    block_groups=FLUX_GROUPS,
)

_HIDDEN = (3072, 4096, 6144)

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("flux2",),
        SINGLE + "attn_to_qkv_mlp_proj$",
        "Single blocks project {reads} features to {gives} at once (9 times), as in FLUX.2.",
        pairs=squares(_HIDDEN, 1, 9),
        variants=KLEIN,
    ),
    FingerprintRule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear1$",
        "Single blocks project {reads} features to {gives} (9 times), as in FLUX.2.",
        pairs=squares(_HIDDEN, 1, 9),
        variants=KLEIN,
    ),
    FingerprintRule(
        ("flux2",),
        r"^single_blocks_(\d+)_linear2$|" + SINGLE + "attn_to_out$",
        "Single blocks read {reads} features and give {gives} (4 to 1), as in FLUX.2.",
        pairs=squares(_HIDDEN, 4, 1),
        variants=tuple((4 * width, name) for width, name in KLEIN),
    ),
    FingerprintRule(
        ("flux2",),
        r"^(?:double_stream_modulation_(?:img|txt)|single_stream_modulation)_",
        "It has one modulation for all blocks, as in FLUX.2.",
        reads=widths_of(*_HIDDEN),
        variants=KLEIN,
    ),
    FingerprintRule(
        ("flux2",),
        DOUBLE + r"ff(?:_context)?_linear_(?:in|out)$|" + BFL_MLP,
        "Feed-forward layers read {reads} features and give {gives}, as in FLUX.2.",
        pairs=squares(_HIDDEN, 1, 6) | squares(_HIDDEN, 3, 1),
        variants=(*KLEIN, *((3 * width, name) for width, name in KLEIN)),
    ),
)
"""Its own layers first, then the shape of the single blocks."""
