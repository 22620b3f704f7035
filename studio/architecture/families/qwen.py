"""Qwen-Image, and its editions that edit pictures."""

from studio.architecture.families.two_streams import DOUBLE, STREAMS
from studio.architecture.family import TextEncoder, Traits
from studio.architecture.fingerprint import FingerprintRule, widths_of
from studio.architecture.names import Architecture, GuidanceKind
from studio.architecture.pipelines import (
    EDIT_ALONE,
    LORA_MODES,
    PipelineTraits,
    SequenceLength,
    Wrapped,
)

_AFTER = "<|im_end|>\n<|im_start|>assistant\n"
_PIPELINE = PipelineTraits(
    "QwenImagePipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=LORA_MODES,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_AFTER),
    least_steps=2,
)
_EDIT = PipelineTraits(
    "QwenImageEditPipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=EDIT_ALONE,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_AFTER),
    least_steps=2,
    max_references=1,
)
_EDIT_PLUS = PipelineTraits(
    "QwenImageEditPlusPipeline",
    GuidanceKind.TRUE_CFG,
    negative_prompt=True,
    modes=EDIT_ALONE,
    sequence=SequenceLength(512, 1024),
    frame=Wrapped(_AFTER),
    least_steps=2,
    max_references=3,
)

QWEN = Traits(
    name=Architecture.QWEN,
    label="Qwen-Image",
    called=r"qwen",
    words=("qwen-image",),
    ecosystems=("qwen",),
    variants=((r"2[._]1", "2.1"),),
    undecidable={None: "Qwen-Image or Qwen-Image-Edit: not decidable from this file."},
    pipelines=(_PIPELINE, _EDIT, _EDIT_PLUS),
    text_encoders=(TextEncoder("text_encoder", "tokenizer"),),
    size_multiple=16,
    flow_matching=True,
    block_groups=STREAMS,
)

RULES: tuple[FingerprintRule, ...] = (
    FingerprintRule(
        ("qwen",),
        DOUBLE + r"(?:(?:img|txt)_mlp_net_0_proj|(?:img|txt)_mod_1)$",
        "Image and text streams of {reads} features have their own layers, as in Qwen-Image.",
        reads=widths_of(3072),
    ),
    FingerprintRule(
        ("qwen",),
        DOUBLE + r"(?:img|txt)_mlp_net_2$",
        "Image and text streams give {gives} features, as in Qwen-Image.",
        gives=widths_of(3072),
    ),
    FingerprintRule(
        ("qwen",),
        DOUBLE + r"img_mlp_(?:gate_layer|proj)$",
        "Image layers of {reads} features are gated, as in Qwen-Image 2.1.",
        reads=widths_of(4096),
        variants=((4096, "2.1"),),
    ),
)
"""A feed-forward layer and a modulation for each stream."""
