"""What is published of a LoRA against its preset and its tensors."""

from collections.abc import Iterator

from studio.inventory import LoraWeights
from studio.presets import LoraPreset
from studio.published import beside, contradiction
from studio.violations import PublishedConflict


def check_published(preset: LoraPreset, weights: LoraWeights) -> Iterator[PublishedConflict]:
    """The publisher's base model must be the preset's architecture and the tensors' own."""
    published, inspection = weights.published, weights.inspection
    if published is None:
        return
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
