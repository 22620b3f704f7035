"""The preset schema and what reads, checks and converts preset files."""

from studio.presets.catalog import Catalog
from studio.presets.schema import (
    DEFAULT_STRENGTH,
    LoraPreset,
    LoraSettings,
    ModelPreset,
    ModelSettings,
    Preset,
    Source,
    TriggerRule,
)

__all__ = [
    "DEFAULT_STRENGTH",
    "Catalog",
    "LoraPreset",
    "LoraSettings",
    "ModelPreset",
    "ModelSettings",
    "Preset",
    "Source",
    "TriggerRule",
]
