"""What is published of weights against their preset and their tensors."""

import re
from collections.abc import Iterator
from pathlib import Path

from studio.contract.violations import OriginConflict, PublishedConflict
from studio.presets import LoraPreset, ModelPreset
from studio.presets.air import Air
from studio.presets.catalog import origin_of
from studio.presets.model_card import Published, beside, contradiction
from studio.resolve.inventory import LoraWeights


def check_published(
    preset: LoraPreset, weights: LoraWeights
) -> Iterator[OriginConflict | PublishedConflict]:
    """The publisher's base model must be the preset's architecture and the tensors' own."""
    published, inspection = weights.published, weights.inspection
    if published is None:
        return
    yield from check_identity(preset, published, weights.path, f"loras.{preset.slug}")
    sentence = contradiction(published, preset.base_architecture, inspection.architecture)
    if sentence is not None:
        yield PublishedConflict(
            field=f"loras.{preset.slug}",
            slug=preset.slug,
            label=preset.label,
            facts=beside(weights.path).name,
            evidence=(sentence, *inspection.evidence),
            reasons=" ".join((sentence, *inspection.evidence[:1])),
        )


def check_identity(
    preset: ModelPreset | LoraPreset, published: Published, path: Path, field: str
) -> Iterator[OriginConflict]:
    """The weights must have been fetched from where the preset says."""
    if _is_from(preset, published):
        return
    place = "@".join((f"{published.site} {published.model_id}", published.version))
    yield OriginConflict(
        field=field,
        slug=preset.slug,
        label=preset.label,
        facts=beside(path).name,
        file=path.name,
        fetched_from=f"{place} ({published.file_name})",
        named=origin_of(preset),
    )


def _is_from(preset: ModelPreset | LoraPreset, published: Published) -> bool:
    """Whether nothing that the preset names differs from what was fetched."""
    if isinstance(preset, LoraPreset) and preset.air is not None:
        air = Air.parse(preset.air)
        named = {"source": air.source, "model_id": air.id, "version": air.version}
        if air.source == "huggingface" and not _is_commit(air.version):
            named["version"] = None
    elif preset.source is not None and preset.source.huggingface is not None:
        commit = preset.revision if _is_commit(preset.revision) else None
        named = {
            "source": "huggingface",
            "model_id": preset.source.huggingface,
            "version": commit,
            "file_name": preset.source.file,
        }
    else:
        return True
    return all(
        said is None or said.lower() == str(getattr(published, name)).lower()
        for name, said in named.items()
    )


def _is_commit(revision: str | None) -> bool:
    """A branch or a tag says nothing that could be compared with a commit."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None
