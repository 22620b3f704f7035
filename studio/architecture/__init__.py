"""The model families, their pipelines, and what is true of every model of either."""

from studio.architecture.names import Architecture, GuidanceKind, Mode
from studio.architecture.pipelines import Chat, PipelineTraits, SequenceLength, Wrapped
from studio.architecture.traits import (
    PIPELINES,
    TRAITS,
    TextEncoder,
    Traits,
    clip_skip_in_words,
    pipeline_traits,
    traits_of,
)

__all__ = [
    "PIPELINES",
    "TRAITS",
    "Architecture",
    "Chat",
    "GuidanceKind",
    "Mode",
    "PipelineTraits",
    "SequenceLength",
    "TextEncoder",
    "Traits",
    "Wrapped",
    "clip_skip_in_words",
    "pipeline_traits",
    "traits_of",
]
