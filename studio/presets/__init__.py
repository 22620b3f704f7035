"""The preset schema and what reads, checks and converts preset files."""

from studio.presets.schema import (
    Catalog,
    LoraPreset,
    LoraSettings,
    ModelPreset,
    ModelSettings,
    Source,
    TriggerRule,
)

__all__ = [
    "Catalog",
    "LoraPreset",
    "LoraSettings",
    "ModelPreset",
    "ModelSettings",
    "Source",
    "TriggerRule",
]
