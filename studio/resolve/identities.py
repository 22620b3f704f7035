"""Presets and the weights on disk → the identities a plan holds, or what is wrong."""

from collections.abc import Iterator, Mapping

from studio.contract.plan import BaseIdentity, LoraPart, LoraUse
from studio.contract.request import LoraChoice
from studio.contract.violations import (
    HashMismatch,
    LoraDoesNotFit,
    SameWeights,
    Violation,
    WeightsMissing,
    WeightsUnusable,
)
from studio.inspection.fit import Fit
from studio.inspection.kinds import purpose_of
from studio.presets import LoraPreset, ModelPreset
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft
from studio.resolve.inventory import LoraWeights, TensorShapes
from studio.resolve.publishers import check_identity, check_published

SENTENCES = 3
"""How much of the evidence stands in a violation's sentence; all of it stands beside."""


def check_weights(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """Every file that the mode needs is there, readable, the right one, and fits."""
    inventory, model = draft.inventory, draft.model
    if draft.base_sha256 is None:
        yield _absent(draft, model, "base")
    else:
        yield from _check_hash(draft, model, draft.base_sha256, "base")
        base = inventory.bases[model.slug]
        if base.published is not None:
            yield from check_identity(model, base.published, base.path, "base")
        yield from _check_purpose(draft, base.shapes)
    for choice, preset in draft.applied:
        weights = inventory.loras.get(preset.slug)
        field = f"loras.{preset.slug}"
        if weights is None:
            yield _absent(draft, preset, field)
            continue
        yield from _check_hash(draft, preset, weights.file.sha256, field)
        yield from check_published(preset, weights)
        yield from _check_file(draft, choice, preset, weights)
    yield from _check_twins(draft)


def _check_purpose(draft: Draft, shapes: Mapping[str, TensorShapes]) -> Iterator[WeightsUnusable]:
    """The base makes pictures from text: one for inpainting or editing reads more than latents."""
    made_for = purpose_of(shapes.get(draft.traits.denoiser, {}), draft.traits.name)
    if made_for is not None:
        yield WeightsUnusable(
            field="base",
            slug=draft.model.slug,
            label=draft.model.label,
            reason=f"it is made for {made_for}.",
            remedy=f"Choose a base of {draft.traits.label} that makes pictures from text.",
        )


def _check_twins(draft: Draft) -> Iterator[SameWeights]:
    """No two chosen LoRAs are one file under two names."""
    first: dict[str, str] = {}
    for _choice, preset in draft.applied:
        weights = draft.inventory.loras.get(preset.slug)
        if weights is None:
            continue
        other = first.setdefault(weights.file.sha256, preset.slug)
        if other != preset.slug:
            yield SameWeights(
                field=f"loras.{preset.slug}",
                slug=preset.slug,
                label=preset.label,
                other=other,
                other_label=draft.label_of(other),
            )


def _absent(draft: Draft, preset: ModelPreset | LoraPreset, field: str) -> Violation:
    unusable = draft.inventory.unusable.get(preset.slug)
    if unusable is not None:
        return WeightsUnusable(
            field=field,
            slug=preset.slug,
            label=preset.label,
            reason=unusable.reason,
            remedy=unusable.way_out,
        )
    expected_at = str(draft.inventory.expected_at[preset.slug])
    return WeightsMissing(
        field=field,
        slug=preset.slug,
        label=preset.label,
        expected_at=expected_at,
        get=how_to_get(preset),
    )


def how_to_get(preset: ModelPreset | LoraPreset) -> str:
    """The way to weights that are not there, as a sentence."""
    source = preset.source
    if isinstance(preset, LoraPreset) and preset.air is not None:
        return _fetched_by(preset, "CivitAI")
    if source is not None and source.huggingface is not None:
        return _fetched_by(preset, "Hugging Face")
    if source is not None:
        return "It is part of the studio: restore the presets folder of this installation."
    return "Put the file there, or correct the preset's path."


def _fetched_by(preset: ModelPreset | LoraPreset, site: str) -> str:
    return (
        f"Fetch them from {site}: press Download in the Models tab, or run "
        f"`studio download {preset.slug}`."
    )


def _check_hash(
    draft: Draft, preset: ModelPreset | LoraPreset, found: str, field: str
) -> Iterator[HashMismatch]:
    pinned = draft.inventory.pins.get(preset.slug)
    expected, basis = (
        (preset.sha256, "the preset says so")
        if preset.sha256
        else (
            pinned,
            "pinned when it was first used",
        )
    )
    if expected is not None and found != expected:
        remedy = "Put the original file back, or correct the preset's sha256."
        if preset.sha256 is None:
            remedy = (
                "Put the original file back, or accept the new one with "
                f"`studio presets repin {preset.slug}`."
            )
        yield HashMismatch(
            field=field,
            slug=preset.slug,
            label=preset.label,
            found_sha256=found,
            expected_sha256=expected,
            basis=basis,
            remedy=remedy,
        )


def _check_file(
    draft: Draft, choice: LoraChoice, preset: LoraPreset, weights: LoraWeights
) -> Iterator[Violation]:
    """The file is a LoRA without problems that fits the base, wholly or as far as the user
    consents."""
    if weights.inspection.kind != "lora":
        yield WeightsUnusable(
            field=f"loras.{preset.slug}",
            slug=preset.slug,
            label=preset.label,
            reason=f"the file is not a LoRA but {weights.inspection.kind}. "
            + weights.inspection.evidence[0],
            remedy="Put the LoRA's file there, or correct the preset's path.",
        )
        return
    if weights.inspection.problems:
        yield WeightsUnusable(
            field=f"loras.{preset.slug}",
            slug=preset.slug,
            label=preset.label,
            reason=" ".join(weights.inspection.problems[:SENTENCES]),
            remedy="Use another file of this LoRA, one whose layers hold everything it needs.",
        )
    fit = draft.fits.get(preset.slug)
    if fit is None or fit.fits or (choice.allow_partial and _waivable(fit)):
        return
    yield _misfit(draft, preset, weights, fit)


def _misfit(draft: Draft, preset: LoraPreset, weights: LoraWeights, fit: Fit) -> LoraDoesNotFit:
    evidence = (*weights.inspection.evidence, *fit.evidence)
    waivable = _waivable(fit)
    matched = sum(fit.matched.values())
    return LoraDoesNotFit(
        field=f"loras.{preset.slug}",
        slug=preset.slug,
        label=preset.label,
        base=draft.model.label,
        base_architecture=draft.traits.label,
        evidence=evidence,
        # What decided the family, then why it does not fit; not how wide its other parts are.
        reasons=" ".join((*evidence[:1], *fit.evidence)[:SENTENCES]),
        matched=matched,
        unplaced=tuple(sorted(fit.unplaced)),
        waivable=waivable,
        waiver=f" Or allow a partial match: {_rest(matched)}." if waivable else "",
    )


def _rest(matched: int) -> str:
    is_applied = "the one layer that fits is" if matched == 1 else f"the {matched} that fit are"
    return f"{is_applied} applied, and the record names what is left out"


def _waivable(fit: Fit) -> bool:
    """Whether the rest may be applied with consent.

    Something must fit, nothing twice, and the tensors must not say that the file was made
    for another family: of such a one some layers may fit by chance.
    """
    return bool(fit.matched) and not fit.doubled and not fit.foreign


def base_identity(draft: Draft) -> BaseIdentity:
    """The base as the plan holds it; its weights must have passed the checks."""
    model, base = draft.model, draft.inventory.bases[draft.model.slug]
    assert draft.base_sha256 is not None  # it is there, as the checks found
    return BaseIdentity(
        slug=model.slug,
        label=model.label,
        architecture=model.base_architecture,
        pipeline=model.pipeline,
        source=model.source.describe() if model.source else "local",
        revision=model.revision,
        sha256=draft.base_sha256,
        files=tuple(sorted(base.files, key=lambda item: item.name)),
    )


def lora_uses(draft: Draft, choices: SettingChoices) -> tuple[LoraUse, ...]:
    """The LoRAs whose weights are applied; they must have passed the checks."""
    return tuple(
        LoraUse(
            slug=preset.slug,
            label=preset.label,
            architecture=preset.base_architecture,
            source=_source(preset),
            sha256=draft.inventory.loras[preset.slug].file.sha256,
            size=draft.inventory.loras[preset.slug].file.size,
            strength=choices.strengths[preset.slug],
            modules=draft.fits[preset.slug].matched,
            waived=tuple(sorted(draft.fits[preset.slug].unplaced)),
            parts=tuple(
                LoraPart(part=part, strength=said, modules=modules_in(draft, preset, part))
                for part, said in choices.parts[preset.slug].items()
            ),
            first_step=choices.spans[preset.slug][0],
            last_step=choices.spans[preset.slug][1],
        )
        for _, preset in draft.applied
    )


def modules_in(draft: Draft, preset: LoraPreset, part: str) -> int:
    """How many modules of this part of the base the LoRA changes."""
    return sum(
        draft.traits.part_of(placed.component, slot.module) == part
        for placed in draft.fits[preset.slug].placements
        for slot in placed.slots
    )


def _source(preset: LoraPreset) -> str:
    if preset.air is not None:
        return preset.air
    return preset.source.describe() if preset.source else "local"
