"""Where a preset says its weights come from, as one text that changes when they do. Pure."""

from studio.presets.schema import LoraPreset, ModelPreset


def origin_of(preset: ModelPreset | LoraPreset) -> str:
    """The AIR, or the repository with file and revision; empty where no site is named.

    What is remembered of a preset's weights (their place, their pin) is kept under its slug
    and this text: the same slug with another origin means other weights.
    """
    if isinstance(preset, LoraPreset) and preset.air is not None:
        return preset.air
    if preset.source is None or preset.source.huggingface is None:
        return ""
    revision = f"@{preset.revision}" if preset.revision is not None else ""
    return f"{preset.source.describe()}{revision}"


def memory_key(preset: ModelPreset | LoraPreset) -> str:
    """Slug and origin, with a blank between them that no slug has."""
    return f"{preset.slug} {origin_of(preset)}".strip()
