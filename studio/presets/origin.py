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


def replaced(preset: ModelPreset | LoraPreset, sha256: str) -> str | None:
    """What the weights of that hash are called that ``preset`` had before; None if it has them, or
    pins none."""
    if preset.sha256 in (None, sha256):
        return None
    names = {hash_: name for name, hash_ in preset.earlier.items()}
    return names.get(sha256, f"other weights of {preset.label} ({sha256[:12]}…)")
