"""The model families, their pipelines, and what is true of every model of either."""

from studio.architecture.families import (
    LABELS,
    PIPELINES,
    TRAITS,
    architecture_called,
    architecture_of,
    family_called,
    pipeline_traits,
    traits_of,
)
from studio.architecture.family import (
    TEXT_ENCODERS,
    Family,
    ModelPart,
    TextEncoder,
    Traits,
    clip_skip_in_words,
)
from studio.architecture.names import Architecture, GuidanceKind, Mode, guides
from studio.architecture.pipelines import Chat, PipelineTraits, SequenceLength, Wrapped

__all__ = [
    "LABELS",
    "PIPELINES",
    "TEXT_ENCODERS",
    "TRAITS",
    "Architecture",
    "Chat",
    "Family",
    "GuidanceKind",
    "Mode",
    "ModelPart",
    "PipelineTraits",
    "SequenceLength",
    "TextEncoder",
    "Traits",
    "Wrapped",
    "architecture_called",
    "architecture_of",
    "clip_skip_in_words",
    "family_called",
    "guides",
    "pipeline_traits",
    "traits_of",
]
