"""Stable Diffusion 3 and 3.5: two streams, and no single blocks.

Its authors' names follow diffusers' ``convert_sd3_transformer_checkpoint_to_diffusers``: the two
halves of the last modulations change places.
"""

from collections.abc import Iterator

from studio.architecture.families.two_streams import DOUBLE_ATTENTION, STREAMS
from studio.architecture.family import TextEncoder, Traits, clip
from studio.architecture.fingerprint import FingerprintRule, widths_of
from studio.architecture.layer_names import Alias, Layout, Shapes, same
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import LORA_MODES, PipelineTraits, SequenceLength

_MARKER = "pos_embed.proj"
_OURS, _THEIRS = "transformer_blocks.#.", "joint_blocks.#."
_IMAGE, _TEXT = _THEIRS + "x_block.", _THEIRS + "context_block."
_NAMES = Layout(
    marker=_MARKER,
    names=(
        same(_IMAGE + "attn.qkv", *(f"{_OURS}attn.to_{part}" for part in "qkv")),
        same(_TEXT + "attn.qkv", *(f"{_OURS}attn.add_{part}_proj" for part in "qkv")),
        same(_IMAGE + "attn2.qkv", *(f"{_OURS}attn2.to_{part}" for part in "qkv")),
        same(_IMAGE + "attn.proj", _OURS + "attn.to_out.0"),
        same(_TEXT + "attn.proj", _OURS + "attn.to_add_out"),
        same(_IMAGE + "attn2.proj", _OURS + "attn2.to_out.0"),
        same(_IMAGE + "mlp.fc1", _OURS + "ff.net.0.proj"),
        same(_IMAGE + "mlp.fc2", _OURS + "ff.net.2"),
        same(_TEXT + "mlp.fc1", _OURS + "ff_context.net.0.proj"),
        same(_TEXT + "mlp.fc2", _OURS + "ff_context.net.2"),
        same(_IMAGE + "adaLN_modulation.1", _OURS + "norm1.linear"),
        same(_TEXT + "adaLN_modulation.1", _OURS + "norm1_context.linear"),
        same("x_embedder.proj", _MARKER),
        same("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
        same("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
        same("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
        same("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
        same("final_layer.linear", "proj_out"),
        same("final_layer.adaLN_modulation.1", "norm_out.linear", swapped=True),
    ),
)


def _names(modules: Shapes) -> Iterator[Alias]:
    """The authors' names; the text's side of the last block only scales and shifts."""
    blocks = (name.split(".")[1] for name in modules if name.startswith("transformer_blocks."))
    last = max(map(int, blocks), default=0)
    ends = same(
        f"joint_blocks.{last}.context_block.adaLN_modulation.1",
        f"transformer_blocks.{last}.norm1_context.linear",
        swapped=True,
    )
    yield from Layout(_MARKER, (ends, *_NAMES.names)).aliases(modules)


SD3 = Traits(
    name=Architecture.SD3,
    label="Stable Diffusion 3",
    called=r"(?:sd[-_ ]?v?|stable-diffusion-v?[-_ ]?)3",
    words=("sd3.5", "sd35", "sd-3.5"),
    ecosystems=("sd3",),
    layer_names=(_names,),
    pipelines=(
        PipelineTraits(
            "StableDiffusion3Pipeline",
            GuidanceKind.CFG,
            negative_prompt=True,
            modes=LORA_MODES,
            sequence=SequenceLength(256, 512),
        ),
    ),
    text_encoders=(
        clip("text_encoder", 12, summary=True),
        clip("text_encoder_2", 32, summary=True),
        TextEncoder("text_encoder_3", "tokenizer_3"),
    ),
    size_multiple=16,
    flow_matching=True,
    block_groups=STREAMS,
)

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("sd3",),
        r"^joint_blocks_(\d+)_(?:x_block|context_block)_",
        "It has joint blocks, as in Stable Diffusion 3.",
    ),
    FingerprintRule(
        ("sd3",),
        DOUBLE_ATTENTION,
        "Blocks with two streams are {reads} features wide, as in Stable Diffusion 3.",
        reads=widths_of(1536, 2432),
        never=r"^single_transformer_blocks_",
    ),
)
